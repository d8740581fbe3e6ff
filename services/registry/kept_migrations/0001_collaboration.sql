-- How far people have read. Not in the log: it changes nothing for anybody else and is nobody else's business.
create table read_marker (
  principal text not null,
  thread text not null,
  comment integer not null,
  primary key (principal, thread)
);

-- Up to which revision everything that a webhook wants was delivered.
create table webhook_position (
  webhook text primary key,
  revision bigint not null
);

-- The same for each redelivery that was asked for.
create table redelivery_position (
  webhook text not null,
  number integer not null,
  revision bigint not null,
  primary key (webhook, number)
);

-- The last attempts to deliver.
create table delivery (
  webhook text not null,
  attempt bigint generated always as identity,
  revision bigint not null,
  fact_id text not null,
  event_type text not null,
  outcome integer not null,
  status integer not null,
  start_time timestamptz not null,
  duration_ms integer not null,
  error text not null,
  redelivery integer not null,
  primary key (webhook, attempt)
);
