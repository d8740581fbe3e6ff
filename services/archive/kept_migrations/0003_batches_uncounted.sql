-- How many facts a batch holds is seen when its stretch is read again; the number beside it was never looked at.
alter table subscription_batch drop column facts;
