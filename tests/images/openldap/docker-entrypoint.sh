#!/bin/bash
# The first start makes cn=config and the base entry from LDAP_DOMAIN, LDAP_ORGANISATION,
# LDAP_ADMIN_PASSWORD and LDAP_CONFIG_PASSWORD (or *_FILE); LDAP_ENVIRONMENT_FLAGS are LMDB's.
set -euo pipefail

from_file() {
	local name=$1 file=$1_FILE
	if [ -n "${!file:-}" ]; then
		if [ -n "${!name:-}" ]; then
			echo "$name and $file exclude each other" >&2
			exit 1
		fi
		export "$name=$(<"${!file}")"
		unset "$file"
	fi
}

hashed() { slappasswd -T <(printf %s "$1"); }

configuration() {
	cat <<-END
		dn: cn=config
		objectClass: olcGlobal
		cn: config
		olcPidFile: /var/run/slapd/slapd.pid
		olcArgsFile: /var/run/slapd/slapd.args

		dn: cn=module{0},cn=config
		objectClass: olcModuleList
		cn: module{0}
		olcModulePath: /usr/lib/ldap
		olcModuleLoad: back_mdb

		dn: cn=schema,cn=config
		objectClass: olcSchemaConfig
		cn: schema

	END
	for schema in core cosine nis inetorgperson; do
		cat "/etc/ldap/schema/$schema.ldif"
		echo
	done
	cat <<-END
		dn: olcDatabase={-1}frontend,cn=config
		objectClass: olcDatabaseConfig
		objectClass: olcFrontendConfig
		olcDatabase: {-1}frontend
		olcSizeLimit: unlimited

		dn: olcDatabase={0}config,cn=config
		objectClass: olcDatabaseConfig
		olcDatabase: {0}config
		olcAccess: to * by dn.exact=gidNumber=0+uidNumber=0,cn=peercred,cn=external,cn=auth manage by * break
		olcRootDN: cn=admin,cn=config
		${LDAP_CONFIG_PASSWORD:+olcRootPW: $(hashed "$LDAP_CONFIG_PASSWORD")}
	END
	cat <<-END

		dn: olcDatabase={1}mdb,cn=config
		objectClass: olcDatabaseConfig
		objectClass: olcMdbConfig
		olcDatabase: {1}mdb
		olcSuffix: $base
		olcRootDN: cn=admin,$base
		olcRootPW: $(hashed "$LDAP_ADMIN_PASSWORD")
		olcDbDirectory: /var/lib/ldap
		olcDbIndex: objectClass eq
		olcDbIndex: cn,uid eq
		olcDbMaxSize: 1073741824
		olcAccess: to attrs=userPassword by self write by anonymous auth by * none
		olcAccess: to * by * read
	END
	for flag in ${LDAP_ENVIRONMENT_FLAGS:-}; do
		echo "olcDbEnvFlags: $flag"
	done
}

if [ "${1#-}" != "$1" ]; then
	set -- slapd "$@"
fi
if [ "$1" = slapd ]; then
	from_file LDAP_ADMIN_PASSWORD
	from_file LDAP_CONFIG_PASSWORD
	if [ ! -e /etc/ldap/slapd.d/cn=config.ldif ]; then
		: "${LDAP_DOMAIN:=example.org}" "${LDAP_ORGANISATION:=Example}" "${LDAP_ADMIN_PASSWORD:=admin}"
		base=dc=${LDAP_DOMAIN//./,dc=}
		configuration | cat -s | slapadd -n 0 -F /etc/ldap/slapd.d
		chown -R openldap:openldap /etc/ldap/slapd.d
		{
			printf 'dn: %s\nobjectClass: dcObject\nobjectClass: organization\ndc: %s\no: %s\n\n' \
				"$base" "${LDAP_DOMAIN%%.*}" "$LDAP_ORGANISATION"
			for file in /docker-entrypoint-initdb.d/*.ldif; do
				[ ! -e "$file" ] || { cat "$file"; echo; }
			done
		} | slapadd -q -n 1 -F /etc/ldap/slapd.d
	fi
	chown -R openldap:openldap /var/lib/ldap /etc/ldap/slapd.d /var/run/slapd
	unset LDAP_ADMIN_PASSWORD LDAP_CONFIG_PASSWORD
	shift
	exec slapd -h 'ldap:/// ldapi:///' -F /etc/ldap/slapd.d -u openldap -g openldap -d 0 "$@"
fi
exec "$@"
