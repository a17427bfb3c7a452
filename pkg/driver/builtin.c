/*
 * The built-in drivers, embedded as they are in data/, so that a person can copy
 * one of those files and change it. The compiler runs in the root of the sources.
 */
#include "driver/builtin.h"

#define EMBED(name)                                                                                \
	__asm__(".pushsection .rodata\n"                                                           \
		".balign 16\n"                                                                     \
		".globl sidesnap_driver_" #name "\n"                                               \
		"sidesnap_driver_" #name ":\n"                                                     \
		".incbin \"pkg/driver/data/" #name ".json\"\n"                                     \
		".globl sidesnap_driver_" #name "_end\n"                                           \
		"sidesnap_driver_" #name "_end:\n"                                                 \
		".byte 0\n"                                                                        \
		".popsection\n");                                                                  \
	extern const char sidesnap_driver_##name[], sidesnap_driver_##name##_end[]

EMBED(cassandra);
EMBED(clickhouse);
EMBED(elasticsearch);
EMBED(etcd);
EMBED(influxdb);
EMBED(mariadb);
EMBED(mongodb);
EMBED(mssql);
EMBED(mysql);
EMBED(neo4j);
EMBED(openldap);
EMBED(opensearch);
EMBED(postgres);
EMBED(rabbitmq);
EMBED(redis);
EMBED(sqlite);

static struct {
	struct builtin_driver driver;
	const char *end;
} drivers[] = {
	{{"cassandra", sidesnap_driver_cassandra, 0}, sidesnap_driver_cassandra_end},
	{{"clickhouse", sidesnap_driver_clickhouse, 0}, sidesnap_driver_clickhouse_end},
	{{"elasticsearch", sidesnap_driver_elasticsearch, 0}, sidesnap_driver_elasticsearch_end},
	{{"etcd", sidesnap_driver_etcd, 0}, sidesnap_driver_etcd_end},
	{{"influxdb", sidesnap_driver_influxdb, 0}, sidesnap_driver_influxdb_end},
	{{"mariadb", sidesnap_driver_mariadb, 0}, sidesnap_driver_mariadb_end},
	{{"mongodb", sidesnap_driver_mongodb, 0}, sidesnap_driver_mongodb_end},
	{{"mssql", sidesnap_driver_mssql, 0}, sidesnap_driver_mssql_end},
	{{"mysql", sidesnap_driver_mysql, 0}, sidesnap_driver_mysql_end},
	{{"neo4j", sidesnap_driver_neo4j, 0}, sidesnap_driver_neo4j_end},
	{{"openldap", sidesnap_driver_openldap, 0}, sidesnap_driver_openldap_end},
	{{"opensearch", sidesnap_driver_opensearch, 0}, sidesnap_driver_opensearch_end},
	{{"postgres", sidesnap_driver_postgres, 0}, sidesnap_driver_postgres_end},
	{{"rabbitmq", sidesnap_driver_rabbitmq, 0}, sidesnap_driver_rabbitmq_end},
	{{"redis", sidesnap_driver_redis, 0}, sidesnap_driver_redis_end},
	{{"sqlite", sidesnap_driver_sqlite, 0}, sidesnap_driver_sqlite_end},
};

const struct builtin_driver *builtin_driver(size_t index)
{
	if (index >= sizeof(drivers) / sizeof(drivers[0]))
		return NULL;
	drivers[index].driver.size = (size_t)(drivers[index].end - drivers[index].driver.text);
	return &drivers[index].driver;
}
