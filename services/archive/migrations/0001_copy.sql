-- The archive's own copy of the log, poison included. Everything but the first three columns is read out of the
-- payload for looking things up; it is empty where the payload cannot be read.
create table entry (
  revision bigint primary key,
  subject text collate "C" not null,
  payload bytea not null,
  resource text collate "C" not null,
  event_type text collate "C" not null,
  actor text collate "C" not null,
  correlation_id text collate "C" not null,
  recorded_at timestamptz
);
create index entry_resource on entry (resource, revision);
create index entry_subject on entry (subject, revision);
create index entry_correlation on entry (correlation_id, revision) where correlation_id <> '';
create index entry_recorded on entry using brin (recorded_at);

-- The Merkle tree over the payloads, in tiles of 256 hashes (C2SP tlog-tiles).
create table tile (
  level smallint not null,
  number bigint not null,
  hashes bytea not null,
  primary key (level, number)
);
