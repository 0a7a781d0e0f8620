BEGIN TRANSACTION;
CREATE TABLE deployment_releases (
    deployment TEXT NOT NULL REFERENCES deployments (deployment) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    model TEXT NOT NULL,
    hardware TEXT NOT NULL,
    min_instances INTEGER NOT NULL,
    max_instances INTEGER NOT NULL,
    created_at REAL NOT NULL, sticky TEXT,
    PRIMARY KEY (deployment, number)
);
INSERT INTO "deployment_releases" VALUES('local/steady',1,'acme/hello','cpu',0,2,300.0,NULL);
INSERT INTO "deployment_releases" VALUES('local/steady',2,'acme/hello','cpu',0,2,301.0,'header:X-User');
CREATE TABLE deployment_traffic (
    deployment TEXT NOT NULL,
    number INTEGER NOT NULL,
    version TEXT NOT NULL,
    weight REAL NOT NULL CHECK (weight > 0),
    PRIMARY KEY (deployment, number, version),
    FOREIGN KEY (deployment, number) REFERENCES deployment_releases (deployment, number) ON DELETE CASCADE
);
INSERT INTO "deployment_traffic" VALUES('local/steady',1,'0001abababababababababababababababababababababababababababababab',1.0);
INSERT INTO "deployment_traffic" VALUES('local/steady',2,'0001abababababababababababababababababababababababababababababab',3.0);
INSERT INTO "deployment_traffic" VALUES('local/steady',2,'0002abababababababababababababababababababababababababababababab',1.0);
CREATE TABLE deployments (
    deployment TEXT PRIMARY KEY
);
INSERT INTO "deployments" VALUES('local/steady');
CREATE TABLE files (
    version TEXT NOT NULL,
    path TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    executable INTEGER NOT NULL,
    PRIMARY KEY (version, path)
) WITHOUT ROWID;
INSERT INTO "files" VALUES('0001abababababababababababababababababababababababababababababab','predict.py','0000000000000000000000000000000000000000000000000000000000000000',1,0);
INSERT INTO "files" VALUES('0002abababababababababababababababababababababababababababababab','predict.py','0000000000000000000000000000000000000000000000000000000000000000',1,0);
CREATE TABLE models (
    model TEXT PRIMARY KEY,
    description TEXT,
    visibility TEXT NOT NULL,
    github_url TEXT,
    paper_url TEXT,
    license_url TEXT,
    cover_image_url TEXT,
    created_at REAL NOT NULL
, readme TEXT, weights_url TEXT);
INSERT INTO "models" VALUES('acme/hello',NULL,'private',NULL,NULL,NULL,NULL,101.0,NULL,NULL);
CREATE TABLE releases (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    how TEXT NOT NULL,
    created_at REAL NOT NULL
);
INSERT INTO "releases" VALUES(1,'acme/hello','0001abababababababababababababababababababababababababababababab','push',101.0);
INSERT INTO "releases" VALUES(2,'acme/hello','0002abababababababababababababababababababababababababababababab','push',102.0);
INSERT INTO "releases" VALUES(3,'acme/hello','0001abababababababababababababababababababababababababababababab','rollback',200.0);
CREATE TABLE versions (
    id TEXT NOT NULL,
    model TEXT NOT NULL REFERENCES models (model),
    cog_version TEXT NOT NULL,
    document TEXT NOT NULL,
    created_at REAL NOT NULL,
    PRIMARY KEY (id, model)
);
INSERT INTO "versions" VALUES('0001abababababababababababababababababababababababababababababab','acme/hello','0.23.1','{"components":{"schemas":{"Input":{"type":"object","properties":{"prompt":{"type":"string","x-order":0},"count":{"type":"integer","minimum":0,"maximum":9,"x-order":1},"token":{"type":"string","minLength":3,"x-cog-secret":true,"x-order":3},"mode":{"allOf":[{"$ref":"#/components/schemas/mode"}],"x-order":2}},"required":["prompt"]},"mode":{"type":"string","enum":["loud","quiet"]},"Output":{"type":"array","items":{"type":"string"},"x-cog-array-type":"iterator"}}}}',101.0);
INSERT INTO "versions" VALUES('0002abababababababababababababababababababababababababababababab','acme/hello','0.23.1','{"components":{"schemas":{"Input":{"type":"object","properties":{"prompt":{"type":"string","x-order":0},"count":{"type":"integer","minimum":0,"maximum":9,"x-order":1},"token":{"type":"string","minLength":3,"x-cog-secret":true,"x-order":3},"mode":{"allOf":[{"$ref":"#/components/schemas/mode"}],"x-order":2}},"required":["prompt"]},"mode":{"type":"string","enum":["loud","quiet"]},"Output":{"type":"array","items":{"type":"string"},"x-cog-array-type":"iterator"}}}}',102.0);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('releases',3);
COMMIT;
PRAGMA user_version = 3;
