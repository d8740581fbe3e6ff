-- When it happened, where it was recorded later than that: what an auditor looks for among what was imported.
alter table entry add column happened_at timestamptz;
create index entry_happened on entry (revision) where happened_at is not null;
