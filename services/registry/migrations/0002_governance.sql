-- What active legal holds cover, from the archive's facts.
create table held (
  resource text not null,
  hold text not null,
  primary key (resource, hold)
);
create index held_hold on held (hold);

-- Versions and what they were derived from, so that a version knows who descends from it, as of any moment.
create table derived (
  version text primary key,
  sort text collate "C" not null,
  parent text not null,
  revision bigint not null,
  recorded_at timestamptz not null
);
create index derived_parent on derived (parent, sort);
