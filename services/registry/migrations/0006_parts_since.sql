-- Since which fact somebody takes part, so that who took part can be told as of any moment. The owners of a model come
-- and go: theirs is the model's newest fact.
alter table part add column revision bigint not null, add column recorded_at timestamptz not null;
