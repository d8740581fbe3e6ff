-- What pictures show beside the values of a series.

alter table metric_point add column segment text not null default '';
create index metric_point_end_time on metric_point (monitor, end_time);

-- When an alert was open. opened_at: the end of the window that raised it. closed_at: the end of the window that passed,
-- or when the end was recorded, for what no window ended.
create table episode (
  monitor text not null,
  alert bigint not null,
  check_id text not null,
  version text not null,
  segment text not null,
  opened_window bigint not null,
  opened_at timestamptz not null,
  revision bigint not null,
  recorded_at timestamptz not null,
  closed_window bigint not null default 0,
  closed_at timestamptz,
  closed_revision bigint,
  closed_recorded_at timestamptz,
  primary key (monitor, alert)
);

-- How an endpoint's traffic was shared from a revision on.
create table traffic (
  endpoint text not null,
  revision bigint not null,
  recorded_at timestamptz not null,
  body bytea not null,
  primary key (endpoint, revision)
);
