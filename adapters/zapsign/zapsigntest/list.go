package zapsigntest

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

const (
	documentsPerPage = 25
	templatesPerPage = 20
	usersPerPage     = 25
)

// rowJSON is a row of the list (F28): empty strings are null.
type rowJSON struct {
	OpenID         int     `json:"open_id"`
	Token          string  `json:"token"`
	Status         string  `json:"status"`
	Name           *string `json:"name"`
	OriginalFile   link    `json:"original_file"`
	SignedFile     link    `json:"signed_file"`
	CreatedAt      stamp   `json:"created_at"`
	LastUpdateAt   stamp   `json:"last_update_at"`
	CreatedThrough string  `json:"created_through"`
	Deleted        bool    `json:"deleted"`
	ExternalID     *string `json:"external_id"`
	FolderPath     string  `json:"folder_path"`
	Signers        any     `json:"signers,omitempty"`
}

// observedSigner is a row's signer with the keys that were seen (F29).
type observedSigner struct {
	Nome       string  `json:"nome"`
	Email      *string `json:"email"`
	Status     string  `json:"status"`
	Link       string  `json:"link_para_assinar"`
	Abertura   stamp   `json:"data_hora_primeira_abertura"`
	Assinatura stamp   `json:"data_hora_assinatura"`
}

// documentedSigner is a row's signer with the keys that the documentation names.
type documentedSigner struct {
	Name       string  `json:"name"`
	Email      *string `json:"email"`
	Status     string  `json:"status"`
	SigningURL string  `json:"signing_url"`
	AuthMode   string  `json:"auth_mode"`
	SignedAt   stamp   `json:"signed_at"`
}

// cachedRow is an answer of the list.
type cachedRow struct {
	at   time.Time
	body answer
}

// listDocuments is GET /docs/ (F24 to F31, T4, T5).
func (c *call) listDocuments() answer {
	key := c.request.Host + "?" + c.query.Encode()
	if cached, exists := c.account.cache[key]; exists && c.now().Sub(cached.at) < c.options.ListCache {
		return cached.body
	}
	filter, no := c.filter()
	if no != nil {
		return *no
	}
	found := []*document{}
	for _, d := range c.account.documents {
		if filter.takes(d) {
			found = append(found, d)
		}
	}
	if !slices.IsSortedFunc(found, byCreation) { // seeded documents may be older than those before
		slices.SortFunc(found, byCreation)
	}
	if filter.descending {
		slices.Reverse(found)
	}
	withSigners := truthy(c.query.Get("include_signers"))
	done := c.paginate(len(found), documentsPerPage, func(i int) any { return c.row(found[i], withSigners) })
	if c.options.ListCache > 0 && done.status == 200 {
		c.account.keep(key, cachedRow{c.now(), done}, c.options.ListCache)
	}
	return done
}

func byCreation(x, y *document) int {
	return cmp.Or(x.createdAt.Compare(y.createdAt), x.openID-y.openID)
}

// keep caches an answer and drops those that are too old, when they have become many.
func (acc *account) keep(key string, row cachedRow, life time.Duration) {
	if len(acc.cache) >= 1000 {
		for key, old := range acc.cache {
			if row.at.Sub(old.at) >= life {
				delete(acc.cache, key)
			}
		}
	}
	acc.cache[key] = row
}

// filter is what a query selects (F26).
type filter struct {
	status, folder, email string
	byFolder              bool
	deleted, live         bool
	from, to              time.Time
	descending            bool
}

func (c *call) filter() (filter, *answer) {
	q, quirks := c.query, c.options.Quirks
	f := filter{descending: !quirks.AscendingByDefault, deleted: true, live: true, email: q.Get("signer_email")}
	valid := true
	switch status := q.Get("status"); status {
	case pending, signed, "":
		f.status = status
	case "refused":
		f.status = recusado
	default:
		valid = false
	}
	switch deleted := strings.ToLower(q.Get("deleted")); deleted {
	case "true", "1":
		f.live = false
	case "false", "0":
		f.deleted = false
	case "":
		f.deleted = !quirks.LiveByDefault
	default:
		valid = false
	}
	switch q.Get("sort_order") {
	case "asc":
		f.descending = false
	case "desc":
		f.descending = true
	case "":
	default:
		valid = false
	}
	if path := q.Get("folder_path"); path != "" {
		normal, no := folder(path)
		f.folder, f.byFolder, valid = normal, no == nil, valid && no == nil
	}
	var fromOK, toOK bool
	f.from, fromOK = day(q.Get("created_from"))
	f.to, toOK = day(q.Get("created_to"))
	if quirks.StrictFilters && !(valid && fromOK && toOK) {
		return f, refused("Parâmetro de filtro inválido.")
	}
	return f, nil
}

func day(text string) (time.Time, bool) {
	t, err := time.Parse(time.DateOnly, text)
	return t, err == nil || text == ""
}

func (f filter) takes(d *document) bool {
	main := d.root()
	isDeleted := !main.deletedAt.IsZero()
	switch {
	case isDeleted && !f.deleted, !isDeleted && !f.live:
	case f.status != "" && f.status != main.status:
	case f.byFolder && (d.parent != nil || d.folderPath != f.folder):
	case f.email != "" && !slices.ContainsFunc(d.signers, func(s *signer) bool { return strings.EqualFold(s.email, f.email) }):
	case !f.from.IsZero() && d.createdAt.Before(f.from):
	case !f.to.IsZero() && !d.createdAt.Before(f.to.AddDate(0, 0, 1)):
	default:
		return true
	}
	return false
}

// row renders a document for the list. Extra documents have rows too, without signers.
func (c *call) row(d *document, withSigners bool) rowJSON {
	main := d.root()
	out := rowJSON{
		OpenID: d.openID, Token: d.token, Status: main.status, Name: orNull(d.name), OriginalFile: c.link(d.original), SignedFile: c.link(d.signedFile),
		CreatedAt: stamp(d.createdAt), LastUpdateAt: stamp(main.updatedAt), CreatedThrough: d.createdThrough, Deleted: !main.deletedAt.IsZero(),
		ExternalID: orNull(d.externalID), FolderPath: main.folderPath,
	}
	if main.status == recusado {
		out.Status = orDefault(c.options.Quirks.ListRefused, recusado)
	}
	if !withSigners || d.parent != nil {
		return out
	}
	signers := []any{}
	for _, s := range d.signers {
		signers = append(signers, c.rowSigner(s))
	}
	out.Signers = signers
	return out
}

func (c *call) rowSigner(s *signer) any {
	if c.options.Quirks.DocumentedListSigners {
		return documentedSigner{s.name, orNull(s.email), s.rowStatus(), c.signURL(s), s.authMode, stamp(s.signedAt)}
	}
	return observedSigner{s.name, orNull(s.email), s.rowStatus(), c.signURL(s), stamp(s.firstOpenedAt), stamp(s.signedAt)}
}

// rowStatus is the list's word for a signer's status. What became of the document goes first
// (sheet 3.3).
func (s *signer) rowStatus() string {
	d := s.document
	switch {
	case d.status == recusado && d.refusedBySigner:
		return "recusou"
	case d.status == recusado:
		return "cancelado"
	case d.status == pending && d.expired:
		return "expirou"
	}
	return map[string]string{statusNew: "nao_abriu", statusOpened: "abriu", signed: "assinou", rejeitou: "recusou"}[s.status]
}

func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
