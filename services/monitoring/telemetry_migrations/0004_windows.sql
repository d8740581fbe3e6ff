-- A lane is that of one segment; empty for all rows.
alter table lane add column segment text not null default '';
alter table lane drop constraint lane_pkey;
alter table lane add primary key (monitor, version, track, segment);
alter table open_window add column segment text not null default '';
alter table open_window drop constraint open_window_pkey;
alter table open_window add primary key (monitor, version, track, segment, position, row_offset, start_time);

-- Closed windows and steps that later ones are made of or compared with, as long as they reach.
create table step (
  monitor text not null,
  version text not null,
  track smallint not null,
  segment text not null,
  position bigint not null,
  row_offset bigint not null,
  start_time bigint not null,
  end_time bigint not null,
  terms text not null,
  baseline_digest text not null,
  body bytea not null,
  primary key (monitor, version, track, segment, position, row_offset, start_time)
);
create index step_end_time on step (monitor, version, track, segment, end_time);
