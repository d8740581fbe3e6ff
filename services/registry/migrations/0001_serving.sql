-- Which version each endpoint serves now, from deployment's facts.
create table serving (
  endpoint text not null,
  version text not null,
  percent integer not null,
  primary key (endpoint, version)
);
create index serving_version on serving (version);

-- Versions that have retired, so that a model knows which living ones hinder its own retirement.
create table retired (
  version text primary key
);
