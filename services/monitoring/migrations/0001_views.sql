-- What is folded from the log besides the resources themselves.

-- Which monitors look at an endpoint.
create table watched (
  endpoint text not null,
  monitor text not null,
  primary key (endpoint, monitor)
);

-- The retraining of a monitor that is neither answered nor given up.
create table open_retraining (
  retraining text primary key,
  monitor text not null
);
create index open_retraining_monitor on open_retraining (monitor);

-- Every evaluated window, as its fact has it.
create table evaluated (
  monitor text not null,
  number bigint not null,
  revision bigint not null,
  recorded_at timestamptz not null,
  body bytea not null,
  primary key (monitor, number)
);

-- One value of a metric series.
create table metric_point (
  monitor text not null,
  number bigint not null,
  place integer not null,
  revision bigint not null,
  recorded_at timestamptz not null,
  start_time timestamptz not null,
  end_time timestamptz not null,
  version text not null,
  check_id text not null,
  column_name text not null,
  body bytea not null,
  primary key (monitor, number, place)
);
