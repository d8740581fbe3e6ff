create table reactor_position (single boolean primary key default true check (single), revision bigint not null);
insert into reactor_position (revision) values (0);
