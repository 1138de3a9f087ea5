package redistest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"testing"
	"time"
)

// ping does a round trip, for which a client that the server turned away does
// not get to the end: in TLS 1.3 it is told after the handshake.
func ping(s *Server, config *tls.Config) error {
	raw, err := net.Dial("tcp", s.Addr())
	if err != nil {
		return err
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(doTimeout))
	if config != nil {
		raw = tls.Client(raw, config)
	}
	if _, err := raw.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	_, err = raw.Read(make([]byte, 7))
	return err
}

func TestTLS(t *testing.T) {
	t.Parallel()
	s, other := Start(t, Options{TLS: true, Password: "secret"}), Start(t, Options{TLS: true})
	if want := "rediss://:secret@" + s.Addr(); s.URL() != want {
		t.Errorf("URL is %s, want %s", s.URL(), want)
	}
	expect(t, s, "PONG", "PING")
	must(t, ping(other, other.TLSConfig()))

	if err := ping(other, nil); err == nil {
		t.Error("a client in the clear is let in")
	}
	anonymous := other.TLSConfig()
	anonymous.Certificates = nil
	if err := ping(other, anonymous); err == nil {
		t.Error("a client without a certificate is let in")
	}
	stranger := other.TLSConfig()
	stranger.Certificates = s.TLSConfig().Certificates
	if err := ping(other, stranger); err == nil {
		t.Error("the certificate of another authority is let in")
	}
	_, ok := errors.AsType[*tls.CertificateVerificationError](ping(other, s.TLSConfig()))
	if !ok {
		t.Error("the server of another authority is trusted")
	}
}

func TestCertificateFiles(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{TLS: true})
	pair, err := tls.LoadX509KeyPair(s.CertFile(), s.KeyFile())
	must(t, err)
	authority, err := os.ReadFile(s.CAFile())
	must(t, err)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		t.Fatal("CAFile holds no certificate")
	}
	for _, name := range []string{"127.0.0.1", "localhost"} {
		must(t, ping(s, &tls.Config{ServerName: name, RootCAs: roots, Certificates: []tls.Certificate{pair}}))
	}
}
