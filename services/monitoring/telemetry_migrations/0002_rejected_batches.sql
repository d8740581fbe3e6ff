-- A batch is counted once for each endpoint: who names batches of one must not make those of another look counted.
-- Ids remembered before are known without an endpoint.
alter table batch add column endpoint text not null default '';
alter table batch drop constraint batch_pkey;
alter table batch add primary key (batch_id, endpoint);

-- What is wrong column by column (a RejectedBatch with its columns), and the batch itself while there is room for it.
alter table rejected add column details bytea;
alter table rejected add column payload bytea;
