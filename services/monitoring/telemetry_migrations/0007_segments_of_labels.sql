-- What tells the segments of a prediction waits for the label with it: a JSON object by column; empty when nothing does.
alter table prediction add column segments text not null default '';
