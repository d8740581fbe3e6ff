-- Retrainings that are neither answered nor given up, as a queue and by the clock.
create table retraining_queue (
  retraining text primary key,
  project text not null,
  model text not null,
  severity integer not null,
  requested_revision bigint not null,
  waits boolean not null default true,
  claim_request text not null default '',
  lease_ends_at timestamptz,
  due_at timestamptz
);
create index retraining_queue_order on retraining_queue (project, severity desc, requested_revision) where waits;
create index retraining_queue_lease on retraining_queue (lease_ends_at);
create index retraining_queue_due on retraining_queue (due_at);

-- Open alerts that may lead to a proposal to retire the version.
create table retirement_watch (
  resource text primary key
);
