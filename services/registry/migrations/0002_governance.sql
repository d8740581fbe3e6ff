-- What active legal holds cover, from the archive's facts.
create table held (
  resource text not null,
  hold text not null,
  primary key (resource, hold)
);
create index held_hold on held (hold);
