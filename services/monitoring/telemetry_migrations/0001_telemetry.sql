-- What is derived from the stream TELEMETRY. It cannot be folded from the log, so a rebuild of the views leaves it alone.
-- Times of windows and lanes are whole microseconds since 1970, as the statistics count them.

-- Up to where the stream has been counted; moves in the transaction of what was counted.
create table progress (
  single boolean primary key default true check (single),
  position bigint not null
);
insert into progress (position) values (0);

-- Batches counted already, so that a batch delivered twice counts once.
create table batch (
  batch_id text primary key,
  seen_at timestamptz not null
);
create index batch_seen_at on batch (seen_at);

-- See windows.Lane and windows.OpenWindow. A window leaves when its evaluation is in the log.
create table lane (
  monitor text not null,
  version text not null,
  track smallint not null,
  closed_until bigint not null,
  newest bigint not null,
  late_rows bigint not null,
  primary key (monitor, version, track)
);
create table open_window (
  monitor text not null,
  version text not null,
  track smallint not null,
  position bigint not null,
  row_offset bigint not null,
  start_time bigint not null,
  end_time bigint not null,
  terms text not null,
  baseline_digest text not null,
  closed boolean not null,
  body bytea not null,
  primary key (monitor, version, track, position, row_offset, start_time)
);
create index open_window_closed on open_window (end_time) where closed;

-- Profiles by the digest that facts name them by: baselines, which stay, and evaluated windows, for a time.
create table profile (
  digest text primary key,
  baseline boolean not null,
  stored_at timestamptz not null,
  body bytea not null
);
create index profile_stored_at on profile (stored_at) where not baseline;

-- Predictions that wait for their label, and labels that came before their prediction was counted.
create table prediction (
  endpoint text not null,
  prediction_id text not null,
  wanted text not null,
  version text not null,
  value text not null,
  stored_at timestamptz not null,
  primary key (endpoint, prediction_id, wanted)
);
create index prediction_stored_at on prediction (stored_at);
create table outcome (
  endpoint text not null,
  prediction_id text not null,
  label text not null,
  known_at bigint not null,
  stored_at timestamptz not null,
  primary key (endpoint, prediction_id)
);
create index outcome_stored_at on outcome (stored_at);

-- Batches that could not be counted, and why.
create table rejected (
  position bigint primary key,
  endpoint text not null,
  subject text not null,
  batch_id text not null,
  reason text not null,
  rows bigint not null,
  rejected_at timestamptz not null
);
create index rejected_endpoint on rejected (endpoint, position);
create index rejected_at on rejected (rejected_at);
