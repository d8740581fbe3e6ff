-- How the last comparison of the views with the log ended: a modelog.status.v1.ViewComparison.
create table comparison (single boolean primary key default true check (single), body bytea not null);
