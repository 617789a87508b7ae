-- Where the journal's head was last kept a second time; NULL until it ever was. With it, a mirror that is gone shows.
ALTER TABLE journal_identity ADD COLUMN mirror TEXT;
