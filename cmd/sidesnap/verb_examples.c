/* Calls of the verbs for help, manual pages and docs/reference.md: beside the table, which is long enough. */
#include "verb_examples.h"

const struct example create_examples[] = {
	{"sidesnap create db", "snapshot the container or service db; prints the new reference"},
	{"sidesnap create db -t demo:before -m \"before the migration\"",
	 "with a name and a title"},
	{"sidesnap create db --dry-run", "what would be captured, and who would be frozen"},
	{"sidesnap create db --logical", "the database as a dump, loaded at the first start"},
	{"sidesnap create db --onto postgres:17 -t demo:17",
	 "for a newer major version; booted and loaded by: sidesnap run demo:17"},
	{"sidesnap create db -t demo:masked --mask mask.sql", "without what must not be seen"},
	{"sidesnap create -p shop -t shop:monday", "a compose project at one instant, as a set"},
	{"docker-compose exec -T sidesnap sidesnap create db", "from the sidecar of a project"},
	{0},
};

const struct example run_examples[] = {
	{"sidesnap run demo:before --name try", "boot it as a container of its own"},
	{"sidesnap run demo:before -p 15432:5432 -v try-data:/var/lib/postgresql/data",
	 "with a published port and a named volume"},
	{"sidesnap run demo:before -- postgres -c log_statement=all",
	 "with other arguments for the entrypoint"},
	{0},
};

const struct example reset_examples[] = {
	{"sidesnap reset db demo:before", "db goes on with the data of demo:before"},
	{"sidesnap reset db --no-safety", "between two tests: where its data came from last"},
	{0},
};

const struct example undo_examples[] = {
	{"sidesnap undo db", "the data of before the last reset; once more: of after it"},
	{0},
};

const struct example replace_examples[] = {
	{"sidesnap replace db demo:before", "db goes on from demo:before, as the same container"},
	{"docker-compose exec -T sidesnap sidesnap replace db demo:before --yes",
	 "without a terminal to ask on"},
	{0},
};

const struct example dump_examples[] = {
	{"sidesnap dump db > db.sql", "the whole server"},
	{"sidesnap dump db --database shop -o shop.sql", "one database, to a file"},
	{"docker-compose exec -T sidesnap sidesnap dump db | gzip > db.sql.gz", "by the sidecar"},
	{0},
};

const struct example bundle_examples[] = {
	{"sidesnap bundle -p shop fault-17", "writes fault-17.tar.zst, databases included"},
	{"docker-compose exec -T sidesnap sidesnap bundle --no-data - > bundle.tar.zst",
	 "by the sidecar, without the databases"},
	{"sidesnap bundle -p shop --config web:/app/settings.yml --show-redactions out",
	 "with a file of the service web, and where something was hidden"},
	{"sidesnap bundle open bundle.tar.zst --grep 'ERROR|FATAL'", "look into one"},
	{"sidesnap bundle open bundle.tar.zst services/db/log.txt", "print one file of it"},
	{0},
};

const struct example load_examples[] = {
	{"sidesnap load db -i db.sql", "asks, and makes a safety snapshot first"},
	{"sidesnap load db demo:dump", "the dump in a snapshot that create --logical made"},
	{"gzip -dc db.sql.gz | sidesnap load db --yes", "from a pipe"},
	{0},
};

const struct example ls_examples[] = {
	{"sidesnap ls", "all snapshots, newest first"},
	{"sidesnap ls db", "those of one container or service"},
	{"sidesnap ls --quiet", "references only, one a line"},
	{"sidesnap ls --remote registry.example/team/db", "those of a repository at a registry"},
	{"sidesnap ls --remote registry.example/team/db:2026*", "the tags that fit"},
	{"sidesnap ls --sets", "sets, and whether their members are here"},
	{0},
};

const struct example tree_examples[] = {
	{"sidesnap tree", "all that there is"},
	{"sidesnap tree db", "the history of one container or service, also when it is gone"},
	{0},
};

const struct example log_examples[] = {
	{"sidesnap log db", "how the present data of db came to be"},
	{"sidesnap log demo:before", "what a snapshot came from"},
	{0},
};

const struct example tag_examples[] = {
	{"sidesnap tag db:monday registry.example/team/db:monday", "a name that can be pushed"},
	{0},
};

const struct example describe_examples[] = {
	{"sidesnap describe demo:before -m \"before the migration\"", "another title"},
	{"sidesnap describe demo:before --notes \"$(cat notes.txt)\"", "what there is to know"},
	{0},
};

const struct example show_examples[] = {
	{"sidesnap show demo:before", "everything that is known of it"},
	{"sidesnap show --remote registry.example/team/db:monday", "of one that is not here"},
	{0},
};

const struct example diff_examples[] = {
	{"sidesnap diff db", "what has changed in db since the snapshot that its data came from"},
	{"sidesnap diff demo:before demo:after", "between two snapshots"},
	{"sidesnap diff demo:before db --stat", "how much, by volume"},
	{"sidesnap diff db --content /etc/app.conf", "lines of one file"},
	{"sidesnap diff --data demo:before demo:after --rows 5",
	 "rows and definitions of the database"},
	{"sidesnap diff --remote r.example/team/db:mon r.example/team/db:tue",
	 "without pulling them"},
	{0},
};

const struct example cat_examples[] = {
	{"sidesnap cat demo:before:/etc/app.conf", "a file as it was then"},
	{0},
};

const struct example cp_examples[] = {
	{"sidesnap cp demo:before:/data/upload .", "a folder into the current one"},
	{"docker-compose exec -T sidesnap sidesnap cp demo:before:/data/upload - | tar -x",
	 "out of the sidecar, as a tar archive"},
	{0},
};

const struct example push_examples[] = {
	{"sidesnap push demo:before --to registry.example/team/db",
	 "as registry.example/team/db:before"},
	{"sidesnap push --lineage registry.example/team/db:before", "and all that it came from"},
	{"sidesnap push -u ci --password-stdin registry.example/team/db:before <token",
	 "as somebody else than docker is logged in as"},
	{0},
};

const struct example pull_examples[] = {
	{"sidesnap pull registry.example/team/db:before", "then: reset, run, show, ..."},
	{0},
};

const struct example rm_examples[] = {
	{"sidesnap rm demo:before demo:after", "two tags; nothing is removed unless both can be"},
	{"sidesnap rm shop:monday", "of a set: with its members"},
	{0},
};

const struct example prune_examples[] = {
	{"sidesnap prune db --keep-daily 7 --keep-weekly 4 --dry-run", "what would stay, and why"},
	{"sidesnap prune --keep-within 30d --keep-tag 'release-*' --yes",
	 "all lineages, by a script"},
	{0},
};

const struct example completion_examples[] = {
	{"source <(sidesnap completion bash)", "in ~/.bashrc"},
	{"sidesnap completion fish > ~/.config/fish/completions/sidesnap.fish", "for fish"},
	{0},
};

const struct example drivers_examples[] = {
	{"sidesnap drivers", "all there are"},
	{"sidesnap drivers show postgres > drivers/postgres.json", "a copy to change"},
	{"sidesnap drivers test postgres db", "whether it does in db what it says"},
	{0},
};

const struct example up_examples[] = {
	{"sidesnap up -p shop", "the whole project, databases first"},
	{"docker-compose exec -T sidesnap sidesnap up web", "web and what it depends on"},
	{0},
};

const struct example stop_examples[] = {
	{"sidesnap stop -p shop", "databases last"},
	{"sidesnap stop -p shop web -t 60s", "one service, with a minute to end"},
	{0},
};

const struct example restart_examples[] = {
	{"sidesnap restart -p shop db", "db, and what lives in its network"},
	{0},
};

const struct example logs_examples[] = {
	{"sidesnap logs -p shop -f", "all services, as they go on"},
	{"sidesnap logs -p shop --since 10m --grep 'ERROR|FATAL'", "what went wrong lately"},
	{"sidesnap logs db web --tail 100", "of two services of the sidecar's project"},
	{0},
};

const struct example shell_examples[] = {
	{"sidesnap shell db", "psql, redis-cli, ... as the service needs it"},
	{"echo 'select 1' | sidesnap shell db", "statements from a pipe"},
	{"sidesnap shell db -- -c 'select now()'", "arguments for the client"},
	{0},
};

const struct example debug_examples[] = {
	{"sidesnap debug web", "a shell where web would run, also when it crashes"},
	{"sidesnap debug db --snapshot", "the same on a snapshot of its volumes"},
	{"sidesnap debug db --snapshot --entrypoint postgres -- --single -D /var/lib/postgresql/data",
	 "another program, with arguments"},
	{0},
};

const struct example doctor_examples[] = {
	{"sidesnap doctor", "after a machine or an engine went down"},
	{"sidesnap doctor -p shop", "what is wrong with the services of shop"},
	{0},
};
