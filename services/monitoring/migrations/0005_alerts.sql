-- Silences that nobody has ended.
create table standing_silence (
  silence text primary key,
  project text not null,
  end_time timestamptz not null
);
create index standing_silence_project on standing_silence (project, end_time);

-- Alerts that are escalated unless somebody acknowledges them before that.
create table escalation (
  resource text primary key,
  revision bigint not null,
  due_time timestamptz not null
);
create index escalation_due on escalation (due_time);

-- Alerts that nobody was told of and nobody has taken: to be told when their silences are over.
create table quiet_alert (
  resource text primary key
);

-- An alert may open again.
alter table episode drop constraint episode_pkey;
alter table episode add primary key (monitor, alert, opened_window);
