package zapsigntest

import (
	"strings"
	"time"
)

// Seed describes documents that exist from the start, created through the web app: no request, no
// credit, no webhook and no message went with them.
type Seed struct {
	Account int                       // index into Options.Accounts
	Count   int                       // how many; 1 if 0
	Name    string                    // "Contrato" if empty
	Folder  string                    // "/" if empty
	Signers []Signer                  // name, e-mail and external id are used; one made-up signer if empty
	Refusal bool                      // signers may refuse
	Created func(i int) time.Time     // time of creation of document i; now if nil
	Change  func(i int, d *SeededDoc) // sets what differs between the documents; may be nil
}

// SeededDoc is what Seed.Change may set.
type SeededDoc struct {
	Name       string
	ExternalID string
	Folder     string
}

// Seed adds documents and returns their tokens, in order. It panics if a folder is none that the
// provider takes or the account does not exist: that is a mistake in the test.
func (a *API) Seed(seed Seed) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	acc := a.accounts[seed.Account]
	content := makePDF([]string{"Contrato"})
	var tokens []string
	for i := range max(1, seed.Count) {
		set := SeededDoc{Name: orDefault(seed.Name, "Contrato"), Folder: orDefault(seed.Folder, "/")}
		if seed.Change != nil {
			seed.Change(i, &set)
		}
		path, no := folder(set.Folder)
		if no != nil {
			panic("zapsigntest: no folder: " + set.Folder)
		}
		d := &document{
			account: acc, token: newUUID(), name: set.Name, externalID: set.ExternalID, status: pending, createdThrough: "web",
			lang: "pt-br", createdBy: acc.Owner, folderPath: path, allowRefuse: seed.Refusal,
		}
		a.enter(d, content, "docs", false)
		if seed.Created != nil {
			d.createdAt = seed.Created(i).UTC().Truncate(time.Microsecond)
			d.updatedAt = d.createdAt
		}
		a.seedSigners(d, seed.Signers)
		tokens = append(tokens, d.token)
	}
	return tokens
}

func (a *API) seedSigners(d *document, wanted []Signer) {
	if len(wanted) == 0 {
		wanted = []Signer{{Name: "Ana Prado", Email: strings.ToLower(d.token[:8]) + "@example.com"}}
	}
	for _, w := range wanted {
		s := newSigner(d)
		s.name, s.email, s.externalID = w.Name, w.Email, w.ExternalID
		d.signers, a.signers[s.token] = append(d.signers, s), s
	}
}
