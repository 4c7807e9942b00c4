package zapsigntest

import (
	"slices"
	"strings"
	"time"
)

// Statuses of documents and signers (sheet 3.3).
const (
	pending  = "pending"
	signed   = "signed"
	recusado = "recusado"

	statusNew    = "new"
	statusOpened = "link-opened"
	rejeitou     = "rejeitou"
)

// document is a main document or, with a parent, an extra one.
type document struct {
	account *account
	parent  *document
	token   string
	openID  int
	name    string

	original, signedFile *file
	externalID           string
	folderPath           string
	folderToken          *string
	status               string
	rejectedReason       *string
	refusedBySigner      bool
	lang                 string
	extras               []*document
	createdThrough       string
	deletedAt            time.Time
	createdAt, updatedAt time.Time
	createdBy            string
	template             *template
	signers              []*signer
	answers              []variable
	metadata             []pair

	signedFileOnlyFinished, disableSignerEmails bool
	brandLogo, brandColor                       string
	reminderDays                                int
	oneClick, requireSignature                  bool

	// Never echoed (F15).
	deadline        time.Time
	deadlineVersion int // a change of the deadline outdates what was planned for the old one
	expired         bool
	ordered         bool
	observers       []string
	allowRefuse     bool
	placements      []Placement
	brandName       string
	bulkAt          time.Time // of the last resend to all
	log             []logEntry
	lastEvent       func() // sends the last doc_* event once more
}

func (d *document) isPending() bool { return d.status == pending && d.deletedAt.IsZero() }

// root is the main document.
func (d *document) root() *document {
	if d.parent != nil {
		return d.parent
	}
	return d
}

// lookup finds a document of the call's account.
func (c *call) lookup(token string) (*document, *answer) {
	d := c.API.documents[token]
	if d == nil {
		no := notFound()
		return nil, &no
	}
	if d.account != c.account {
		no := notFound()
		if c.options.Quirks.ForeignForbidden {
			no = detail(403, "Você não tem permissão para executar essa ação.")
		}
		return nil, &no
	}
	return d, nil
}

// mainDocument finds the main document that the path names.
func (c *call) mainDocument() (*document, *answer) {
	d, no := c.lookup(c.params[0])
	if no == nil && d.parent != nil {
		missing := notFound()
		return nil, &missing
	}
	return d, no
}

// getDocument is GET /docs/{token}/ (F16, F17).
func (c *call) getDocument() answer {
	d, no := c.lookup(c.params[0])
	if no != nil {
		return *no
	}
	if d.parent == nil {
		return ok(c.render(d))
	}
	parent := d.parent.token
	short := c.renderExtra(d)
	short.ParentDocToken = &parent
	return ok(short)
}

// updateDocument is PUT /docs/{token}/ (F19).
func (c *call) updateDocument() answer {
	d, no := c.mainDocument()
	if no != nil {
		return *no
	}
	name, folderPath, folderToken := c.in.text("name"), c.in.text("folder_path"), c.in.text("folder_token")
	limitText := c.in.text("date_limit_to_sign")
	renamed := map[*document]string{}
	for _, extra := range c.in.objects("extra_docs") {
		i := slices.IndexFunc(d.extras, func(e *document) bool { return e.token == extra.text("token") })
		if i < 0 {
			return notFound()
		}
		renamed[d.extras[i]] = extra.text("name")
	}
	if wrong := c.in.typeError(); wrong != nil {
		return *wrong
	}
	if !d.isPending() {
		return message(400, "Apenas documentos em curso podem ser atualizados.")
	}
	deadline, valid := deadlineOf(limitText)
	if !valid {
		return *refused("date_limit_to_sign inválido.")
	}
	path, token, no := c.folder(folderPath, folderToken)
	if no != nil {
		return *no
	}
	if no := checkName(name); name != "" && no != nil {
		return *no
	}
	for _, name := range renamed {
		if no := checkName(name); no != nil {
			return *no
		}
	}
	for extra, name := range renamed {
		extra.name = name
	}
	d.name = orDefault(name, d.name)
	if folderPath != "" || folderToken != "" {
		d.folderPath, d.folderToken = path, token
	}
	if limitText != "" {
		c.setDeadline(d, deadline)
	}
	c.touch(d, "Documento atualizado")
	return message(200, "Documento atualizado corretamente")
}

// touch moves the time of change and writes the activity log.
func (a *API) touch(d *document, event string) {
	d.updatedAt = a.tick()
	a.log(d, d.account.Owner, event, "")
}

// reorderEnvelope is PUT /docs/{token}/document-display-order/ (sheet 2.1.7). The order shows in
// the web app only.
func (c *call) reorderEnvelope() answer {
	d, no := c.mainDocument()
	if no != nil {
		return *no
	}
	order := c.in.texts("document_display_order")
	if wrong := c.in.typeError(); wrong != nil {
		return *wrong
	}
	if !d.isPending() {
		return message(400, "Apenas documentos em curso podem ser atualizados.")
	}
	tokens := []string{d.token}
	for _, extra := range d.extras {
		tokens = append(tokens, extra.token)
	}
	slices.Sort(tokens)
	sorted := slices.Sorted(slices.Values(order))
	if !slices.Equal(tokens, sorted) {
		return *refused("document_display_order deve conter todos os tokens do envelope.")
	}
	slices.SortStableFunc(d.extras, func(x, y *document) int { return slices.Index(order, x.token) - slices.Index(order, y.token) })
	c.touch(d, "Ordem dos documentos alterada")
	return message(200, "Documento atualizado corretamente")
}

// deleteDocument is DELETE /docs/{token}/ (F20).
func (c *call) deleteDocument() answer {
	d, no := c.mainDocument()
	if no != nil {
		return *no
	}
	if d.deletedAt.IsZero() {
		c.touch(d, "Documento excluído")
		d.deletedAt = d.updatedAt
		c.emitDocument(d, "doc_deleted")
	}
	return ok(c.render(d))
}

// Placement is where a signature goes on a page, in percent from the lower left corner.
type Placement struct {
	Type        string // signature or visto
	Page        int    // from 0
	Left        float64
	Bottom      float64
	Width       float64
	Height      float64
	SignerToken string
}

// placeSignatures is POST /docs/{token}/place-signatures/ (F21). Nobody checks the geometry.
func (c *call) placeSignatures() answer {
	d, no := c.lookup(c.params[0])
	if no != nil {
		return *no
	}
	if !c.in.has("rubricas") {
		return *refused("rubricas é obrigatório.")
	}
	var placements []Placement
	for _, in := range c.in.objects("rubricas") {
		placements = append(placements, Placement{
			Type: orDefault(in.text("type"), "signature"), Page: in.integer("page"), SignerToken: in.text("signer_token"),
			Left: in.number("relative_position_left"), Bottom: in.number("relative_position_bottom"),
			Width: in.number("relative_size_x"), Height: in.number("relative_size_y"),
		})
	}
	if wrong := c.in.typeError(); wrong != nil {
		return *wrong
	}
	d.placements = placements
	return answer{status: 200}
}

// reprocess is POST /docs/{token}/reprocess-doc/ (F23).
func (c *call) reprocess() answer {
	d, no := c.mainDocument()
	if no != nil {
		return *no
	}
	send, resign := c.in.flag("send_webhook"), c.in.flag("resign_doc")
	if wrong := c.in.typeError(); wrong != nil {
		return *wrong
	}
	switch {
	case resign && d.signedFile != nil, send && c.options.Quirks.ReprocessSendsDocSigned:
		c.plan(c.now().Add(time.Second), func() { c.emitDocument(d, "doc_signed") })
	case send && d.lastEvent != nil:
		c.plan(c.now().Add(time.Second), d.lastEvent)
	}
	return text(200, "Documento reprocessado com sucesso. Aguarde alguns instantes.")
}

// folder checks a folder path (sheet 2.1.1) and gives it both slashes.
func folder(path string) (string, *answer) {
	if path = strings.Trim(path, "/"); path == "" {
		return "/", nil
	}
	parts := strings.Split(path, "/")
	path = "/" + path + "/"
	if characters(path) > 255 || len(parts) > 5 {
		return "", refused("folder_path: até 255 caracteres e 5 níveis.")
	}
	for _, part := range parts {
		if n := characters(part); n == 0 || n > 50 {
			return "", refused("folder_path: até 50 caracteres por pasta.")
		}
	}
	return path, nil
}

// folder finds where a document goes: the token, if there is one, wins.
func (c *call) folder(path, token string) (string, *string, *answer) {
	if token != "" {
		known, exists := c.account.folders[token]
		if !exists {
			return "", nil, refused("folder_token não encontrado.")
		}
		return known, &token, nil
	}
	path, no := folder(path)
	return path, nil, no
}

// characters counts what a person would count, about.
func characters(text string) int { return len([]rune(text)) }

func checkName(name string) *answer {
	if n := characters(name); n == 0 || n > 255 {
		return refused("name é obrigatório e tem até 255 caracteres.")
	}
	return nil
}

// logEntry is a line of the activity log (sheet 2.1.15).
type logEntry struct {
	Time        string `json:"time"`
	User        string `json:"user"`
	Event       string `json:"event"`
	Description string `json:"description"`
}

func (a *API) log(d *document, user, event, description string) {
	at := withFraction(a.now().Truncate(time.Microsecond), "2006-01-02 15:04:05") + "+00:00"
	d.log = append(d.log, logEntry{at, user, event, description})
}

// activityLog is GET /docs/signer-log/{token}.
func (c *call) activityLog() answer {
	d, no := c.mainDocument()
	if no != nil {
		return *no
	}
	if c.account.NoActivityLog {
		return html(403, "Access denied")
	}
	if truthy(c.query.Get("download_pdf")) {
		lines := []string{"Histórico de atividades", d.name}
		for _, entry := range d.log {
			lines = append(lines, entry.Time+" "+entry.User+" "+entry.Event)
		}
		return answer{status: 200, contentType: typePDF, body: makePDF(lines)}
	}
	return ok(d.log)
}

func truthy(value string) bool {
	value = strings.ToLower(value)
	return value == "true" || value == "1" || value == "yes"
}
