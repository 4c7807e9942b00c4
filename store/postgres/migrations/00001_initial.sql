-- The schema "enlace" exists before; a store with another schema reads this text
-- with that name in place of it.
--
-- Ids are compared byte by byte (COLLATE "C"), so that their order is that of
-- every other store. JSON is kept as text (json), so that it comes back as it was
-- written. Zero times are the year 1.

-- +goose Up

-- Of several processes that start at the same time, one gets on; the others fail
-- behind it without effect, and look again. Every migration begins so.
LOCK TABLE enlace.schema_version IN EXCLUSIVE MODE;

CREATE TABLE enlace.integrations (
    tenant        text COLLATE "C" NOT NULL,
    id            text COLLATE "C" NOT NULL,
    provider      text COLLATE "C" NOT NULL,
    name          text             NOT NULL,
    settings      json             NOT NULL, -- object or null
    features      json             NOT NULL, -- array or null
    base_url      text             NOT NULL,
    enabled       boolean          NOT NULL,
    status        text             NOT NULL,
    status_reason text             NOT NULL,
    version       bigint           NOT NULL,
    created_at    timestamptz      NOT NULL,
    updated_at    timestamptz      NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE INDEX integrations_by_provider ON enlace.integrations (tenant, provider, id);

-- A row without data is no credential: it holds the lease of one that is about
-- to be stored, or the version of one that was deleted.
CREATE TABLE enlace.credentials (
    tenant      text COLLATE "C" NOT NULL,
    integration text COLLATE "C" NOT NULL,
    name        text COLLATE "C" NOT NULL,
    data        bytea,                                       -- sealed; NULL if there is no value
    key_id      bigint           NOT NULL DEFAULT 0,         -- unsigned 64 bits in a signed column
    version     bigint           NOT NULL DEFAULT 0,
    updated_at  timestamptz      NOT NULL DEFAULT 'epoch',
    lease_owner text             NOT NULL,                   -- empty if nobody holds it
    lease_until timestamptz      NOT NULL,
    fence       bigint           NOT NULL,                   -- grows with each lease and each deletion
    interrupted boolean          NOT NULL DEFAULT false,     -- a holder never came back, and no value was stored since
    PRIMARY KEY (tenant, integration, name)
);

-- One row: which root keys there are, each wrapped.
CREATE TABLE enlace.keyring (
    id      smallint PRIMARY KEY CHECK (id = 1),
    data    bytea,
    version bigint NOT NULL
);

CREATE TABLE enlace.checkpoints (
    tenant      text COLLATE "C" NOT NULL,
    integration text COLLATE "C" NOT NULL,
    entity      text COLLATE "C" NOT NULL,
    resume      text             NOT NULL,
    mark        text             NOT NULL,
    scope       text             NOT NULL,
    version     bigint           NOT NULL,
    updated_at  timestamptz      NOT NULL,
    PRIMARY KEY (tenant, integration, entity)
);

CREATE TABLE enlace.runs (
    tenant      text COLLATE "C" NOT NULL,
    id          text COLLATE "C" NOT NULL,
    integration text COLLATE "C" NOT NULL,
    provider    text COLLATE "C" NOT NULL,
    direction   text             NOT NULL,
    entities    json             NOT NULL, -- array or null
    dry_run     boolean          NOT NULL,
    state       text             NOT NULL,
    results     json             NOT NULL, -- object or null
    started_at  timestamptz      NOT NULL,
    updated_at  timestamptz      NOT NULL,
    finished_at timestamptz      NOT NULL, -- the zero time while it runs
    kind        text             NOT NULL,
    error       text             NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE INDEX runs_by_start ON enlace.runs (tenant, started_at, id);
CREATE INDEX runs_by_integration ON enlace.runs (tenant, integration, started_at, id);

-- +goose Down
DROP TABLE enlace.runs;
DROP TABLE enlace.checkpoints;
DROP TABLE enlace.keyring;
DROP TABLE enlace.credentials;
DROP TABLE enlace.integrations;
