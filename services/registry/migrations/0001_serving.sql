-- Which version each endpoint serves now, from deployment's facts.
create table serving (
  endpoint text not null,
  version text not null,
  percent integer not null,
  primary key (endpoint, version)
);
create index serving_version on serving (version);

-- Versions that are not retired, so that a model knows what hinders its own retirement.
create table living (
  version text primary key,
  model text not null
);
create index living_model on living (model);
