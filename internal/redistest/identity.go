package redistest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/perdure/perdure/internal/redistest/loopback"
)

// identity is a certificate authority with one certificate for the servers
// and one for their clients. A nil identity is that of a server without TLS.
type identity struct {
	dir    string
	client *tls.Config
}

// CAFile is the certificate of the authority that signed the server's
// certificate, in PEM. It is empty without TLS.
func (id *identity) CAFile() string { return id.file("ca.crt") }

// CertFile is a certificate that the server accepts from a client, in PEM.
func (id *identity) CertFile() string { return id.file("client.crt") }

// KeyFile is the private key to CertFile, in PEM.
func (id *identity) KeyFile() string { return id.file("client.key") }

// TLSConfig is a client's configuration made of these three files. It is nil
// without TLS.
func (id *identity) TLSConfig() *tls.Config {
	if id == nil {
		return nil
	}
	return id.client.Clone()
}

func (id *identity) serverCertFile() string { return id.file("server.crt") }
func (id *identity) serverKeyFile() string  { return id.file("server.key") }

func (id *identity) file(name string) string {
	if id == nil {
		return ""
	}
	return filepath.Join(id.dir, name)
}

// newIdentity makes the certificates and writes them into the directory.
func newIdentity(dir string) (*identity, error) {
	id := &identity{dir: dir}
	authority, err := newAuthority()
	if err != nil {
		return nil, fmt.Errorf("redistest: making a certificate authority: %w", err)
	}
	if err := writePEM(id.CAFile(), "CERTIFICATE", authority.cert.Raw); err != nil {
		return nil, err
	}
	// A replica and a cluster node are clients of their peers.
	err = authority.issue("server", id.serverCertFile(), id.serverKeyFile(),
		x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return nil, err
	}
	if err := authority.issue("client", id.CertFile(), id.KeyFile(), x509.ExtKeyUsageClientAuth); err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(id.CertFile(), id.KeyFile())
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority.cert)
	id.client = &tls.Config{
		MinVersion:   tls.VersionTLS12,
		ServerName:   loopback.Host,
		RootCAs:      roots,
		Certificates: []tls.Certificate{pair},
	}
	return id, nil
}

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := certificate("authority")
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{cert: cert, key: key}, nil
}

// issue writes a signed certificate for the loopback interface and its key.
func (a *authority) issue(name, certFile, keyFile string, usage ...x509.ExtKeyUsage) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := certificate(name)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = usage
	template.DNSNames = []string{"localhost"}
	template.IPAddresses = []net.IP{net.ParseIP(loopback.Host), net.IPv6loopback}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return fmt.Errorf("redistest: signing the %s certificate: %w", name, err)
	}
	if err := writePEM(certFile, "CERTIFICATE", der); err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(keyFile, "PRIVATE KEY", private)
}

func certificate(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		Subject:   pkix.Name{CommonName: "redistest " + name},
		NotBefore: now.Add(-time.Hour),
		NotAfter:  now.Add(24 * time.Hour),
	}
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
