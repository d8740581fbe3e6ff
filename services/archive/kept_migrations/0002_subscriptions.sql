-- How far the consumers of subscriptions have come. It cannot be folded from the log, so a rebuild of the views leaves it
-- alone.

-- `starts`: of which start of the subscription this speaks; a later one makes all of it void. Everything up to `looked`
-- was handed out or is not wanted.
create table subscription_place (
  name text collate "C" primary key,
  starts integer not null,
  looked bigint not null,
  acknowledged_at timestamptz
);

-- What is with consumers: (first - 1, last] was looked at for the batch, whose first and last fact may lie within. Kept
-- when acknowledged while one before it is not.
create table subscription_batch (
  name text collate "C" not null references subscription_place on delete cascade,
  first bigint not null,
  last bigint not null,
  facts integer not null,
  token text not null,
  consumer text not null,
  deadline timestamptz not null,
  attempt integer not null,
  acknowledged boolean not null default false,
  primary key (name, first)
);
