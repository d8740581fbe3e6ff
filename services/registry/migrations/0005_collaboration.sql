-- Who takes part in what, from the registry's own facts: owner of a model, maker or reviewer of a version, participant of
-- a thread. A principal, or a team.
create table part (
  resource text not null,
  principal text not null,
  why text not null,
  project text not null,
  primary key (resource, principal, why)
);
create index part_principal on part (principal, project);

-- Versions that somebody may have to do something about: a transition request that is not done with, a deprecation, or
-- a finding that waits for an answer.
create table waiting (
  version text not null,
  reason text not null,
  project text not null,
  revision bigint not null,
  primary key (version, reason)
);
create index waiting_project on waiting (project, revision);

-- Where the threads of a project are, by their newest fact.
create table thread_place (
  thread text primary key,
  model text not null,
  project text not null,
  revision bigint not null
);
create index thread_place_project on thread_place (project, revision);
