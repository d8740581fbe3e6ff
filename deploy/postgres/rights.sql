-- Who may do what with the views, applied by suite/postgres_roles.py at each start of an installation; doing so twice changes
-- nothing. Roles and their passwords are there already: for each service
--
--   <service>_owner      makes and changes its tables, while it starts; nobody runs under it
--   <service>_projector  writes rows of its own tables
--   <service>_reader     reads its own tables
--
-- and modelog_auditor, which people are members of who look at the views with SQL. What one role makes others get by
-- default privileges and an event trigger, so tables that are dropped and folded again have their rights from birth.

revoke all on database modelog from public;
revoke all on schema public from public;

do $$
declare
  service text;
  place record;
begin
  foreach service in array array['registry', 'deployment', 'monitoring', 'archive'] loop
    execute format('grant connect, create on database modelog to %I', service || '_owner');
    execute format('grant connect on database modelog to %I, %I', service || '_projector', service || '_reader');
    -- Views are compared with what the log makes in tables that vanish with the connection.
    execute format('grant temporary on database modelog to %I', service || '_projector');
    -- Rows are hidden from auditors only, so whoever serves all projects is not slowed down by looking.
    execute format('alter role %I bypassrls', service || '_projector');
    execute format('alter role %I bypassrls', service || '_reader');
    execute format('alter role %I set default_transaction_read_only = on', service || '_reader');
    execute format('alter role %I set statement_timeout = ''60s''', service || '_reader');
    execute format('alter default privileges for role %I grant usage on schemas to %I, %I',
                   service || '_owner', service || '_projector', service || '_reader');
    execute format('alter default privileges for role %I grant select, insert, update, delete on tables to %I',
                   service || '_owner', service || '_projector');
    execute format('alter default privileges for role %I grant select on tables to %I',
                   service || '_owner', service || '_reader');
    -- What an earlier installation made under the superuser.
    for place in select nspname from pg_namespace where nspname in (service, service || '_kept') loop
      execute format('alter schema %I owner to %I', place.nspname, service || '_owner');
      execute format('grant usage on schema %I to %I, %I',
                     place.nspname, service || '_projector', service || '_reader');
    end loop;
    for place in select schemaname, tablename from pg_tables
                 where schemaname in (service, service || '_kept') and tableowner <> service || '_owner' loop
      execute format('alter table %I.%I owner to %I', place.schemaname, place.tablename, service || '_owner');
      execute format('grant select, insert, update, delete on %I.%I to %I',
                     place.schemaname, place.tablename, service || '_projector');
      execute format('grant select on %I.%I to %I', place.schemaname, place.tablename, service || '_reader');
    end loop;
  end loop;
end $$;

-- Which projects an auditor sees; `*` stands for all of them, and for what belongs to none.
create schema if not exists audit;
create table if not exists audit.project (login text not null, project text not null, primary key (login, project));
revoke all on schema audit from public;
revoke all on audit.project from public;
grant connect on database modelog to modelog_auditor;
grant usage on schema audit to modelog_auditor;

-- session_user, because an auditor can change its current_user.
create or replace function audit.projects() returns text[]
language sql stable security definer set search_path = '' as $$
  select coalesce(array_agg(project), '{}') from audit.project where login = session_user
$$;
revoke all on function audit.projects() from public;
grant execute on function audit.projects() to modelog_auditor;

-- Lets somebody look at projects, or at others than before. The login gets its password from whoever calls this.
create or replace procedure audit.admit(login text, variadic projects text[])
language plpgsql set search_path = '' as $$
begin
  if not exists (select from pg_catalog.pg_roles where rolname = login) then
    execute format('create role %I login', login);
  end if;
  execute format('grant modelog_auditor to %I', login);
  execute format('alter role %I set default_transaction_read_only = on', login);
  execute format('alter role %I set statement_timeout = ''60s''', login);
  execute format('alter role %I set idle_in_transaction_session_timeout = ''60s''', login);
  delete from audit.project as former where former.login = admit.login;
  insert into audit.project select admit.login, one from unnest(projects) as one;
end $$;
revoke all on procedure audit.admit(text, text[]) from public;

-- A table of views shows an auditor the rows of its projects: by its column `project`, or by the first of its columns
-- that holds names of resources. One without such a column, and everything in a schema `<service>_kept`, stays hidden.
create or replace function audit.protect(target oid) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  place record;
  named text;
  project text;
begin
  select n.nspname, c.relname, c.relrowsecurity into place from pg_class c join pg_namespace n on n.oid = c.relnamespace
   where c.oid = target and c.relkind = 'r' and pg_get_userbyid(c.relowner) like '%\_owner'
     and n.nspname not like '%\_kept';
  if not found or place.relrowsecurity then
    return;
  end if;
  execute format('alter table %I.%I enable row level security', place.nspname, place.relname);
  execute format('alter table %I.%I force row level security', place.nspname, place.relname);
  -- Its owner makes the rows a table is born with.
  execute format('create policy owner on %I.%I to %I using (true)', place.nspname, place.relname,
                 (select pg_get_userbyid(relowner) from pg_class where oid = target));
  select attname into named from pg_attribute
   where attrelid = target and not attisdropped and atttypid = 'text'::regtype
     and attname in ('project', 'name', 'resource', 'endpoint', 'monitor', 'version', 'model')
   order by array_position(array['project', 'name', 'resource', 'endpoint', 'monitor', 'version', 'model'], attname::text)
   limit 1;
  if named is null then
    return;
  end if;
  project := format('%I', named);
  if named <> 'project' then
    project := format('case when starts_with(%1$I, ''projects/'') then split_part(%1$I, ''/'', 2) end', named);
  else
    project := format('regexp_replace(%I, ''^projects/'', '''')', named);
  end if;
  execute format(
    'create policy auditor on %I.%I for select to modelog_auditor using (array[%s, ''*''] && (select audit.projects()))',
    place.nspname, place.relname, project);
  execute format('grant usage on schema %I to modelog_auditor', place.nspname);
  execute format('grant select on %I.%I to modelog_auditor', place.nspname, place.relname);
end $$;
revoke all on function audit.protect(oid) from public;

create or replace function audit.protect_new() returns event_trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  made record;
begin
  for made in select objid from pg_event_trigger_ddl_commands() where object_type = 'table' loop
    perform audit.protect(made.objid);
  end loop;
end $$;
revoke all on function audit.protect_new() from public;

drop event trigger if exists modelog_protect;
create event trigger modelog_protect on ddl_command_end
  when tag in ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO') execute function audit.protect_new();

select audit.protect(oid) from pg_class where relkind = 'r';
