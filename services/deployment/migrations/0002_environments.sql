-- Versions whose rollout has succeeded in an environment, as long as it has not been undone: what lets them go further.
create table proved (
    environment text not null,
    version text not null,
    rollout text not null,
    primary key (environment, version, rollout)
);
create index proved_rollout on proved (rollout);
