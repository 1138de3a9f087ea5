package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"filippo.io/age"
	"github.com/spf13/cobra"
)

// keys are the flags about encryption.
type keys struct {
	recipients []string
	identities []string
	passphrase string // the name of a file
}

// sealFlags are those of a verb that encrypts, openFlags of one that decrypts.
func (k *keys) sealFlags(c *cobra.Command) {
	c.Flags().StringArrayVar(&k.recipients, "recipient", nil, "encrypt to this age public key (age1…); may be repeated")
	c.Flags().StringVar(&k.passphrase, "passphrase-file", "", "encrypt with the passphrase on the first line of this file")
}

func (k *keys) openFlags(c *cobra.Command) {
	c.Flags().StringArrayVar(&k.identities, "identity", nil, "file with age secret keys, to decrypt with; may be repeated")
	c.Flags().StringVar(&k.passphrase, "passphrase-file", "", "decrypt with the passphrase on the first line of this file")
}

// forWriting are those who can read what is written; none is no encryption.
func (k *keys) forWriting() ([]age.Recipient, error) {
	if k.passphrase != "" {
		if len(k.recipients) > 0 {
			return nil, usageError{errors.New("--recipient and --passphrase-file are both given; give one")}
		}
		phrase, err := k.phrase()
		if err != nil {
			return nil, err
		}
		r, err := age.NewScryptRecipient(phrase)
		if err != nil {
			return nil, usageError{err}
		}
		return []age.Recipient{r}, nil
	}
	if len(k.recipients) == 0 {
		return nil, nil
	}
	recipients, err := age.ParseRecipients(strings.NewReader(strings.Join(k.recipients, "\n")))
	if err != nil {
		return nil, usageError{fmt.Errorf("--recipient: %w; a public key begins with age1, as age-keygen -y prints it", err)}
	}
	return recipients, nil
}

// forReading are what an encrypted file is tried with.
func (k *keys) forReading() (identities []age.Identity, err error) {
	for _, name := range k.identities {
		found, err := readIdentities(name)
		if err != nil {
			return nil, usageError{fmt.Errorf("--identity %s: %w", name, err)}
		}
		identities = append(identities, found...)
	}
	if k.passphrase == "" {
		return identities, nil
	}
	phrase, err := k.phrase()
	if err != nil {
		return nil, err
	}
	i, err := age.NewScryptIdentity(phrase)
	if err != nil {
		return nil, usageError{err}
	}
	return append(identities, i), nil
}

func readIdentities(name string) ([]age.Identity, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	identities, err := age.ParseIdentities(file)
	if err != nil { // its text may hold the line that it did not understand
		return nil, errors.New("it holds no age secret keys, one a line, as age-keygen writes them")
	}
	return identities, nil
}

func (k *keys) phrase() (string, error) {
	phrase, err := firstLine(k.passphrase)
	if err != nil {
		return "", usageError{fmt.Errorf("--passphrase-file: %w", err)}
	}
	return phrase, nil
}
