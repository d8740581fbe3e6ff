-- What the archive keeps of the stream ACCESS. It cannot be folded from the log, so a rebuild of the views leaves it alone.

-- Up to where which stream, by the time it was made, has been taken over; moves in the transaction of what was. A stream
-- that was made anew counts from one again: `base` is what its positions are added to.
create table access_progress (
  single boolean primary key default true check (single),
  stream text not null,
  base bigint not null,
  position bigint not null
);
insert into access_progress (stream, base, position) values ('', 0, 0);

-- One row a message, or a row for several that the stream no longer had (`missing`). Everything but payload is read out
-- of it for looking things up; a message that is no record has its `id` from its place and no more than its service.
create table access_record (
  number bigint primary key,
  id text collate "C" not null unique,
  recorded_at timestamptz not null,
  service text collate "C" not null,
  method text collate "C" not null,
  -- Who called, and for whom.
  principals text[] collate "C" not null,
  -- What was named, and everything that it lies in.
  places text[] collate "C" not null,
  verdict smallint not null,
  reason text collate "C" not null,
  readable boolean not null,
  missing bigint not null,
  payload bytea not null
);
create index access_record_principals on access_record using gin (principals);
create index access_record_places on access_record using gin (places);
create index access_record_recorded on access_record (recorded_at);
