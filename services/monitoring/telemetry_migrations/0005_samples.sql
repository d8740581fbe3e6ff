-- Rows of windows as they came, by the digest that facts name them by, until the retention of their monitor is over.
create table sample (
  digest text primary key,
  expires_at timestamptz not null,
  body bytea not null
);
create index sample_expires_at on sample (expires_at);
