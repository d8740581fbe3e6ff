-- Signed statements about artifacts, whole: the version itself has only what was found out about them.
create table provenance (
  version text not null,
  number integer not null,
  envelope bytea not null,
  primary key (version, number)
);

-- Which version was derived from which, by being trained on or copied.
create table derived (
  origin text not null,
  version text not null,
  sort text not null,
  derivation integer not null,
  revision bigint not null,
  recorded_at timestamptz not null,
  primary key (origin, sort, derivation)
);
