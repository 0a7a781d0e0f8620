BEGIN TRANSACTION;
CREATE TABLE deadlines (prediction TEXT PRIMARY KEY, cancel_at REAL NOT NULL);
INSERT INTO "deadlines" VALUES('waits',4000.0);
CREATE TABLE files (
                id TEXT PRIMARY KEY,
                name TEXT NOT NULL,
                content_type TEXT NOT NULL,
                size_bytes INTEGER NOT NULL,
                sha256 TEXT NOT NULL,
                md5 TEXT NOT NULL,
                metadata TEXT NOT NULL,
                created_at REAL NOT NULL,
                expires_at REAL NOT NULL,
                key TEXT NOT NULL
            , owner TEXT);
INSERT INTO "files" VALUES('64b574c537d886d3aecd81355964f83a28be0541','hello.txt','text/plain',5,'2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824','5d41402abc4b2a76b9719d911017c592','{"a": 1}',1000.0,87400.0,'5M_k2LhP929GcBSHJgbyR0MOob5vSs-d',NULL);
CREATE TABLE hooks (
                prediction TEXT PRIMARY KEY,
                url TEXT NOT NULL,
                origin TEXT NOT NULL,
                events TEXT NOT NULL,
                base TEXT NOT NULL,
                delivery TEXT NOT NULL,
                attempts INTEGER NOT NULL DEFAULT 0,
                due_at REAL,
                give_up_at REAL
            );
INSERT INTO "hooks" VALUES('waits','https://example.com/hook','https://example.com','completed','http://127.0.0.1:8394','d1',0,NULL,NULL);
CREATE TABLE predictions (
                number INTEGER PRIMARY KEY AUTOINCREMENT,
                id TEXT NOT NULL UNIQUE,
                model TEXT NOT NULL,
                version TEXT NOT NULL,
                deployment TEXT,
                input TEXT NOT NULL,
                created_at REAL NOT NULL,
                stream_key TEXT NOT NULL,
                status TEXT NOT NULL,
                started_at REAL,
                completed_at REAL,
                output TEXT NOT NULL,
                error TEXT,
                logs TEXT NOT NULL,
                metrics TEXT NOT NULL
            , owner TEXT);
INSERT INTO "predictions" VALUES(1,'done','local/model1','0000000000000000000000000000000000000000000000000000000000000001','local/d','{"text":"zwölf","list":[1,null,2.5]}',100.0,'key','succeeded',101.0,102.0,'{"deep":[1]}',NULL,'line
','{"queue_s":1.0,"cold_start_s":0.0,"total_time":2.0,"predict_s":1.0,"predict_time":1.0}',NULL);
INSERT INTO "predictions" VALUES(2,'waits','local/model1','0000000000000000000000000000000000000000000000000000000000000001',NULL,'{"prompt":"waits"}',100.0,'key','starting',NULL,NULL,'null',NULL,'','{}',NULL);
INSERT INTO "predictions" VALUES(3,'runs','local/model1','0000000000000000000000000000000000000000000000000000000000000001',NULL,'{"prompt":"runs"}',100.0,'key','processing',103.0,NULL,'null',NULL,'','{"queue_s":3.0,"cold_start_s":0.0}',NULL);
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
INSERT INTO "settings" VALUES('webhook_secret','whsec_x');
CREATE TABLE versions (
                id TEXT NOT NULL,
                model TEXT NOT NULL,
                created_at REAL NOT NULL,
                PRIMARY KEY (id, model)
            );
INSERT INTO "versions" VALUES('0000000000000000000000000000000000000000000000000000000000000001','local/model1',50.0);
CREATE INDEX unfinished ON predictions (number) WHERE status IN ('starting', 'processing');
CREATE INDEX by_model ON predictions (model);
CREATE INDEX holding ON predictions (completed_at)
            WHERE completed_at IS NOT NULL AND input != 'null'
            ;
CREATE INDEX due_hooks ON hooks (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX predictions_by_owner ON predictions (owner, number) WHERE owner IS NOT NULL;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('predictions',3);
COMMIT;
PRAGMA user_version = 3;
