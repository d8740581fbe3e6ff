-- What was found different from the facts and put right; body: a Repair. number: 1..k within its fact.
create table repair (
    endpoint text not null,
    revision bigint not null,
    number integer not null,
    project text not null,
    record_time timestamptz not null,
    body bytea not null,
    primary key (endpoint, revision, number)
);
create index repair_project on repair (project, revision, number);
