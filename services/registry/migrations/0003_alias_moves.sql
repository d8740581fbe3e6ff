-- Every move of every alias: a swap moves two.
create table alias_move (
  model text not null,
  revision bigint not null,
  alias text not null,
  kind integer not null,
  from_version text not null,
  to_version text not null,
  recorded_at timestamptz not null,
  actor text not null,
  reason text not null,
  primary key (model, revision, alias)
);
create index alias_move_alias on alias_move (model, alias, revision);

-- What happened to versions once they were put to use, from deployment's and monitoring's facts.
create table incident (
  version text not null,
  revision bigint not null,
  kind integer not null,
  resource text not null,
  summary text not null,
  recorded_at timestamptz not null,
  primary key (version, revision)
);
