//! TLS, SASL, delegation tokens, authorization.

use crate::configs::ConfigKey;
use crate::configs::DefaultValue::{Is, Null};
use crate::configs::Importance::{High, Low, Medium};
use crate::configs::Update::{PerBroker, ReadOnly};
use crate::configs::Valid::{Any, AtLeast, Between, ListOf, OneOf, OneOfAnyCase};
use crate::configs::reason::{NO_JAVA, NO_KERBEROS, NO_REPLICAS, SECURITY_LATER};
use crate::configs::row::{boolean, class, double, int, list, long, password, short, string};

/// Sorted by name.
pub(super) const KEYS: &[ConfigKey] = &[
    string("authorizer.class.name", Is(""), Any, Low, ReadOnly, SECURITY_LATER)
        .doc("Class that decides who may do what."),
    long("connections.max.reauth.ms", Is("0"), Any, Medium, ReadOnly, SECURITY_LATER)
        .doc("Time after which an authenticated connection must authenticate again, in milliseconds; 0 is never."),
    long("delegation.token.expiry.check.interval.ms", Is("3600000"), AtLeast(1), Low, ReadOnly, SECURITY_LATER)
        .doc("Time between removals of expired delegation tokens, in milliseconds."),
    long("delegation.token.expiry.time.ms", Is("86400000"), AtLeast(1), Medium, ReadOnly, SECURITY_LATER)
        .doc("Time that a delegation token is good for without renewal, in milliseconds."),
    long("delegation.token.max.lifetime.ms", Is("604800000"), AtLeast(1), Medium, ReadOnly, SECURITY_LATER)
        .doc("Longest life of a delegation token, in milliseconds."),
    password("delegation.token.secret.key", Null, Any, Medium, ReadOnly, SECURITY_LATER)
        .doc("Secret with which delegation tokens are signed; the same on all brokers."),
    class(
        "principal.builder.class",
        Is("org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder"),
        Any,
        Medium,
        PerBroker,
        NO_JAVA,
    )
    .doc("Class that makes a principal out of an authenticated connection."),
    class("sasl.client.callback.handler.class", Null, Any, Medium, ReadOnly, NO_JAVA)
        .doc("Class that answers SASL's questions for the broker's own connections."),
    list("sasl.enabled.mechanisms", Is("GSSAPI"), ListOf(&[]), Medium, PerBroker, SECURITY_LATER)
        .doc("SASL mechanisms that clients may use."),
    password("sasl.jaas.config", Null, Any, Medium, PerBroker, SECURITY_LATER)
        .doc("Login settings of a listener's SASL mechanism, in JAAS form."),
    string("sasl.kerberos.kinit.cmd", Is("/usr/bin/kinit"), Any, Medium, PerBroker, NO_KERBEROS)
        .doc("Path of the kinit command."),
    long("sasl.kerberos.min.time.before.relogin", Is("60000"), Any, Medium, PerBroker, NO_KERBEROS)
        .doc("Shortest time between two Kerberos logins, in milliseconds."),
    list("sasl.kerberos.principal.to.local.rules", Is("DEFAULT"), ListOf(&[]), Medium, PerBroker, NO_KERBEROS)
        .doc("Rules that make short names out of Kerberos principals."),
    string("sasl.kerberos.service.name", Null, Any, Medium, PerBroker, NO_KERBEROS)
        .doc("Kerberos principal's name under which the broker runs."),
    double("sasl.kerberos.ticket.renew.jitter", Is("0.05"), Any, Medium, PerBroker, NO_KERBEROS)
        .doc("Random share added to the time of a ticket's renewal."),
    double("sasl.kerberos.ticket.renew.window.factor", Is("0.8"), Any, Medium, PerBroker, NO_KERBEROS)
        .doc("Share of a ticket's life after which it is renewed."),
    class("sasl.login.callback.handler.class", Null, Any, Medium, ReadOnly, NO_JAVA)
        .doc("Class that answers a SASL login's questions."),
    class("sasl.login.class", Null, Any, Medium, ReadOnly, NO_JAVA).doc("Class that performs a SASL login."),
    int("sasl.login.connect.timeout.ms", Null, Any, Low, ReadOnly, SECURITY_LATER)
        .doc("Time that a connection to the token's provider may take, in milliseconds."),
    int("sasl.login.read.timeout.ms", Null, Any, Low, ReadOnly, SECURITY_LATER)
        .doc("Time that the token's provider may take to answer, in milliseconds."),
    short("sasl.login.refresh.buffer.seconds", Is("300"), Any, Medium, PerBroker, SECURITY_LATER)
        .doc("Time before a token's end that its refresh keeps clear of."),
    short("sasl.login.refresh.min.period.seconds", Is("60"), Any, Medium, PerBroker, SECURITY_LATER)
        .doc("Shortest time between two refreshes of a token."),
    double("sasl.login.refresh.window.factor", Is("0.8"), Any, Medium, PerBroker, SECURITY_LATER)
        .doc("Share of a token's life after which it is refreshed."),
    double("sasl.login.refresh.window.jitter", Is("0.05"), Any, Medium, PerBroker, SECURITY_LATER)
        .doc("Random share added to the time of a token's refresh."),
    long("sasl.login.retry.backoff.max.ms", Is("10000"), Any, Low, ReadOnly, SECURITY_LATER)
        .doc("Longest wait between attempts to log in, in milliseconds."),
    long("sasl.login.retry.backoff.ms", Is("100"), Any, Low, ReadOnly, SECURITY_LATER)
        .doc("First wait between attempts to log in, in milliseconds."),
    string("sasl.mechanism.controller.protocol", Is("GSSAPI"), Any, High, ReadOnly, SECURITY_LATER)
        .doc("SASL mechanism of connections to the controller."),
    string("sasl.mechanism.inter.broker.protocol", Is("GSSAPI"), Any, Medium, PerBroker, SECURITY_LATER)
        .doc("SASL mechanism of connections between brokers."),
    boolean("sasl.oauthbearer.allow.unverified.audience", Is("false"), Any, Medium, ReadOnly, SECURITY_LATER)
        .doc("Whether tokens are taken without a check of their audience."),
    boolean("sasl.oauthbearer.allow.unverified.issuer", Is("false"), Any, Medium, ReadOnly, SECURITY_LATER)
        .doc("Whether tokens are taken without a check of their issuer."),
    string(
        "sasl.oauthbearer.assertion.algorithm",
        Is("RS256"),
        OneOfAnyCase(&["ES256", "RS256"]),
        Medium,
        ReadOnly,
        SECURITY_LATER,
    )
    .doc("Algorithm that signs the assertion sent to the token's provider."),
    string("sasl.oauthbearer.assertion.claim.aud", Null, Any, Medium, ReadOnly, SECURITY_LATER)
        .doc("Audience claim of the assertion."),
    int("sasl.oauthbearer.assertion.claim.exp.seconds", Is("300"), Between(0, 86400), Low, ReadOnly, SECURITY_LATER)
        .doc("Time that the assertion is good for."),
    string("sasl.oauthbearer.assertion.claim.iss", Null, Any, Medium, ReadOnly, SECURITY_LATER)
        .doc("Issuer claim of the assertion."),
    boolean("sasl.oauthbearer.assertion.claim.jti.include", Is("false"), Any, Medium, ReadOnly, SECURITY_LATER)
        .doc("Whether the assertion carries an identity of its own."),
    int("sasl.oauthbearer.assertion.claim.nbf.seconds", Is("60"), Between(0, 3600), Low, ReadOnly, SECURITY_LATER)
        .doc("Time before its making from which the assertion is good."),
    string("sasl.oauthbearer.assertion.claim.sub", Null, Any, Medium, ReadOnly, SECURITY_LATER)
        .doc("Subject claim of the assertion."),
    string("sasl.oauthbearer.assertion.file", Null, Any, Medium, ReadOnly, SECURITY_LATER)
        .doc("File with a ready-made assertion."),
    string("sasl.oauthbearer.assertion.private.key.file", Null, Any, Medium, ReadOnly, SECURITY_LATER)
        .doc("File with the key that signs the assertion."),
    password("sasl.oauthbearer.assertion.private.key.passphrase", Null, Any, Medium, ReadOnly, SECURITY_LATER)
        .doc("Passphrase of the key that signs the assertion."),
    string("sasl.oauthbearer.assertion.template.file", Null, Any, Medium, ReadOnly, SECURITY_LATER)
        .doc("File with further headers and claims of the assertion."),
    string("sasl.oauthbearer.client.credentials.client.id", Null, Any, Medium, ReadOnly, SECURITY_LATER)
        .doc("Client id shown to the token's provider."),
    password("sasl.oauthbearer.client.credentials.client.secret", Null, Any, Medium, ReadOnly, SECURITY_LATER)
        .doc("Client secret shown to the token's provider."),
    int("sasl.oauthbearer.clock.skew.seconds", Is("30"), Any, Low, ReadOnly, SECURITY_LATER)
        .doc("Difference between clocks that is forgiven when tokens are checked."),
    list("sasl.oauthbearer.expected.audience", Is(""), ListOf(&[]), High, ReadOnly, SECURITY_LATER)
        .doc("Audiences of which a token must name one."),
    string("sasl.oauthbearer.expected.issuer", Null, Any, High, ReadOnly, SECURITY_LATER)
        .doc("Issuer that a token must name."),
    long("sasl.oauthbearer.jwks.endpoint.refresh.ms", Is("3600000"), Any, Low, ReadOnly, SECURITY_LATER)
        .doc("Time between refreshes of the keys that tokens are checked with, in milliseconds."),
    long("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", Is("10000"), Any, Low, ReadOnly, SECURITY_LATER)
        .doc("Longest wait between attempts to get the keys, in milliseconds."),
    long("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", Is("100"), Any, Low, ReadOnly, SECURITY_LATER)
        .doc("First wait between attempts to get the keys, in milliseconds."),
    string("sasl.oauthbearer.jwks.endpoint.url", Null, Any, Medium, ReadOnly, SECURITY_LATER)
        .doc("Where the keys are found that tokens are checked with."),
    class(
        "sasl.oauthbearer.jwt.retriever.class",
        Is("org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever"),
        Any,
        Medium,
        ReadOnly,
        NO_JAVA,
    )
    .doc("Class that fetches tokens."),
    class(
        "sasl.oauthbearer.jwt.validator.class",
        Is("org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator"),
        Any,
        Medium,
        ReadOnly,
        NO_JAVA,
    )
    .doc("Class that checks tokens."),
    string("sasl.oauthbearer.scope", Null, Any, Medium, ReadOnly, SECURITY_LATER)
        .doc("Scope asked of the token's provider."),
    string("sasl.oauthbearer.scope.claim.name", Is("scope"), Any, Low, ReadOnly, SECURITY_LATER)
        .doc("Name of the claim that holds a token's scope."),
    string("sasl.oauthbearer.sub.claim.name", Is("sub"), Any, Low, ReadOnly, SECURITY_LATER)
        .doc("Name of the claim that holds a token's subject."),
    string("sasl.oauthbearer.token.endpoint.url", Null, Any, Medium, ReadOnly, SECURITY_LATER)
        .doc("Where tokens are fetched."),
    class("sasl.server.callback.handler.class", Null, Any, Medium, ReadOnly, NO_JAVA)
        .doc("Class that answers SASL's questions for a listener."),
    int("sasl.server.max.receive.size", Is("524288"), Any, Medium, ReadOnly, SECURITY_LATER)
        .doc("Largest message that is read before a connection is authenticated, in bytes."),
    string(
        "security.inter.broker.protocol",
        Is("PLAINTEXT"),
        OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]),
        Medium,
        ReadOnly,
        NO_REPLICAS,
    )
    .doc("Security protocol between brokers."),
    string("security.providers", Null, Any, Low, ReadOnly, NO_JAVA).doc("Classes that add Java security providers."),
    boolean("ssl.allow.dn.changes", Is("false"), Any, Low, ReadOnly, SECURITY_LATER)
        .doc("Whether a new certificate may have another distinguished name."),
    boolean("ssl.allow.san.changes", Is("false"), Any, Low, ReadOnly, SECURITY_LATER)
        .doc("Whether a new certificate may have other alternative names."),
    list("ssl.cipher.suites", Is(""), ListOf(&[]), Medium, PerBroker, SECURITY_LATER)
        .doc("Cipher suites that may be used; empty is the library's choice."),
    string("ssl.client.auth", Is("none"), OneOf(&["required", "requested", "none"]), Medium, PerBroker, SECURITY_LATER)
        .doc("Whether clients must, may or need not show a certificate."),
    list("ssl.enabled.protocols", Is("TLSv1.2,TLSv1.3"), ListOf(&[]), Medium, PerBroker, SECURITY_LATER)
        .doc("TLS versions that may be used."),
    string("ssl.endpoint.identification.algorithm", Is("https"), Any, Low, PerBroker, SECURITY_LATER)
        .doc("How a server's name is checked against its certificate; empty is not at all."),
    class("ssl.engine.factory.class", Null, Any, Low, PerBroker, NO_JAVA).doc("Class that makes TLS engines."),
    password("ssl.key.password", Null, Any, Medium, PerBroker, SECURITY_LATER).doc("Password of the private key."),
    string("ssl.keymanager.algorithm", Is("SunX509"), Any, Medium, PerBroker, NO_JAVA)
        .doc("Java's name for the algorithm of the key manager."),
    password("ssl.keystore.certificate.chain", Null, Any, Medium, PerBroker, SECURITY_LATER)
        .doc("The broker's certificate with its chain, in PEM form."),
    password("ssl.keystore.key", Null, Any, Medium, PerBroker, SECURITY_LATER)
        .doc("The broker's private key, in PEM form."),
    string("ssl.keystore.location", Null, Any, Medium, PerBroker, SECURITY_LATER).doc("File of the key store."),
    password("ssl.keystore.password", Null, Any, Medium, PerBroker, SECURITY_LATER).doc("Password of the key store."),
    string("ssl.keystore.type", Is("JKS"), Any, Medium, PerBroker, SECURITY_LATER)
        .doc("Format of the key store: JKS, PKCS12 or PEM."),
    string("ssl.principal.mapping.rules", Is("DEFAULT"), Any, Low, ReadOnly, SECURITY_LATER)
        .doc("Rules that make short names out of a certificate's distinguished name."),
    string("ssl.protocol", Is("TLSv1.3"), Any, Medium, PerBroker, SECURITY_LATER).doc("TLS version to begin with."),
    string("ssl.provider", Null, Any, Medium, PerBroker, NO_JAVA).doc("Java's name for the security provider."),
    string("ssl.secure.random.implementation", Null, Any, Low, PerBroker, NO_JAVA)
        .doc("Java's name for the source of random numbers."),
    string("ssl.trustmanager.algorithm", Is("PKIX"), Any, Medium, PerBroker, NO_JAVA)
        .doc("Java's name for the algorithm of the trust manager."),
    password("ssl.truststore.certificates", Null, Any, Medium, PerBroker, SECURITY_LATER)
        .doc("Certificates that are trusted, in PEM form."),
    string("ssl.truststore.location", Null, Any, Medium, PerBroker, SECURITY_LATER).doc("File of the trust store."),
    password("ssl.truststore.password", Null, Any, Medium, PerBroker, SECURITY_LATER)
        .doc("Password of the trust store."),
    string("ssl.truststore.type", Is("JKS"), Any, Medium, PerBroker, SECURITY_LATER)
        .doc("Format of the trust store: JKS, PKCS12 or PEM."),
];
