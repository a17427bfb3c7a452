/*
 * Which certificates a registry's host is believed with, as docker does it: those of the system, and
 * those of certs.d (docs.docker.com/engine/security/certificates).
 */
#ifndef SIDESNAP_REMOTE_TRUST_H
#define SIDESNAP_REMOTE_TRUST_H

#include <stdbool.h>
#include <stddef.h>

struct trust {
	char *authorities; /* certificates, PEM; NULL: none were found */
	size_t authorities_size;
	char *certificate, *key; /* files that say who we are; NULL: none */
};

/*
 * trust_find(host, trust): For ${host} ("registry.example:5000"). The system's authorities are those of
 * SSL_CERT_FILE, else of the first file that is where systems have it, and of SSL_CERT_DIR. What
 * cannot be read is passed over: then nothing is believed because of it.
 */
void trust_find(const char *host, struct trust *trust);
void trust_release(struct trust *trust);

/*
 * trust_is_loopback(host): Whether a host, with a port or without, is this machine: "localhost", 127.0.0.0/8,
 * [::1]. There docker asks for no certificate, and takes plain HTTP where there is no TLS.
 */
bool trust_is_loopback(const char *host);

#endif
