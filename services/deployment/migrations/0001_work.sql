-- What the controller looks at: every endpoint that is not removed, and its newest rollout.
create table endpoint_work (
    endpoint text primary key,
    environment text not null,
    rollout integer not null default 0,
    removed boolean not null default false
);
create index endpoint_work_environment on endpoint_work (environment) where not removed;

-- Which versions an endpoint serves now.
create table serving (
    endpoint text not null,
    version text not null,
    primary key (version, endpoint)
);
create index serving_endpoint on serving (endpoint);

-- Who served what share, from when to when. Open intervals have no end.
create table serving_interval (
    endpoint text not null,
    version text not null,
    from_revision bigint not null,
    project text not null,
    environment text not null,
    percent integer not null,
    from_time timestamptz not null,
    to_time timestamptz,
    to_revision bigint,
    rollout text not null,
    requested_by text not null,
    approved_by text[] not null,
    primary key (endpoint, version, from_revision)
);
create index serving_interval_project on serving_interval (project, from_revision, endpoint, version);
create index serving_interval_open on serving_interval (endpoint) where to_revision is null;
