-- What a message says of each of its companies, in the order of `entities`: the sentiment, and three scores each. NULL,
-- as a whole or for one company, where the message's own sentiment stands for it; so do all messages of before.
ALTER TABLE message ADD COLUMN entity_sentiments text[], ADD COLUMN entity_scores real[];
