-- Which versions were registered with a digest: asked before an artifact is erased that others may have too.
create index entry_registered on entry (resource) where event_type = 'modelog.registry.v1.VersionRegistered';
