package zapsigntest

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

var languages = []string{"pt-br", "es", "en"}

// draft is a document that a request asks for, checked but not yet there.
type draft struct {
	*document
	deadline time.Time
	content  []byte
	asFile   string // kind of the original
	charged  bool
}

// createDocument is POST /docs/ (F10 to F13, T1).
func (c *call) createDocument() answer {
	d, no := c.draftFromFile()
	if no != nil {
		return *no
	}
	c.open(d)
	return ok(c.render(d.document))
}

// createDocumentLater is POST /docs/async/ (sheet 2.1.3).
func (c *call) createDocumentLater() answer {
	d, no := c.draftFromFile()
	return c.later(d, no)
}

func (c *call) later(d *draft, no *answer) answer {
	if no != nil {
		return *no
	}
	c.plan(c.now().Add(time.Second), func() { c.open(d) })
	return ok(map[string]string{"token": d.token})
}

// draftFromFile reads the body of POST /docs/.
func (c *call) draftFromFile() (*draft, *answer) {
	inputs := c.in.objects("signers")
	d, no := c.draft(c.in.text("name"), c.account.Owner)
	if no != nil {
		return nil, no
	}
	if d.content, no = c.onlySource("url_pdf", "base64_pdf", "url_docx", "base64_docx", "markdown_text"); no != nil {
		return nil, no
	}
	if len(inputs) == 0 {
		return nil, refused("signers é obrigatório.")
	}
	for _, in := range inputs {
		s := newSigner(d.document)
		if no := s.apply(in, onCreate, d.oneClick); no != nil {
			return nil, no
		}
		d.signers = append(d.signers, s)
	}
	return d, c.checkGroups(d.document, inputs)
}

// onlySource reads the one file that a body must have, as PDF.
func (c *call) onlySource(names ...string) ([]byte, *answer) {
	chosen := ""
	for _, name := range names {
		if c.in.text(name) == "" {
			continue
		}
		if chosen != "" {
			return nil, refused("Envie apenas um arquivo: " + chosen + " ou " + name + ".")
		}
		chosen = name
	}
	if wrong := c.in.typeError(); wrong != nil {
		return nil, wrong
	}
	switch {
	case chosen == "":
		return nil, refused("Envie um arquivo: " + strings.Join(names, ", ") + ".")
	case chosen == "markdown_text":
		return textPDF(c.in.text(chosen)), nil
	}
	content, no := c.source(chosen)
	if no == nil && strings.Contains(chosen, "docx") {
		content = textPDF(docxText(content))
	}
	return content, no
}

// draft reads what all ways to create a document have in common.
func (c *call) draft(name, creator string) (*draft, *answer) {
	in := c.in
	d := &document{
		account: c.account, token: newUUID(), name: name, externalID: in.text("external_id"), status: pending, createdThrough: "api",
		lang: orDefault(in.text("lang"), "pt-br"), createdBy: creator, signedFileOnlyFinished: in.flag("signed_file_only_finished"),
		disableSignerEmails: in.flag("disable_signer_emails"), brandLogo: in.text("brand_logo"), brandColor: in.text("brand_primary_color"),
		brandName: in.text("brand_name"), reminderDays: in.integer("reminder_every_n_days"), ordered: in.flag("signature_order_active"),
		observers: in.texts("observers"), allowRefuse: in.flag("allow_refuse_signature"),
		oneClick: in.flag("one_click_active"), requireSignature: in.flag("require_signature"),
	}
	metadata := "metadata"
	if !in.has(metadata) {
		metadata = "Metadata"
	}
	for _, entry := range in.objects(metadata) {
		d.metadata = append(d.metadata, pair{entry.text("key"), entry.text("value")})
	}
	if author := in.text("created_by"); slices.ContainsFunc(c.account.Users, func(u User) bool { return u.Email == author }) {
		d.createdBy = author
	}
	limit, path, token := in.text("date_limit_to_sign"), in.text("folder_path"), in.text("folder_token")
	for _, ignored := range []string{"disable_signers_get_original_file", "has_simplified_signature", "sandbox"} {
		in.flag(ignored)
	}
	if wrong := in.typeError(); wrong != nil {
		return nil, wrong
	}
	deadline, valid := deadlineOf(limit)
	if !valid {
		return nil, refused("date_limit_to_sign inválido.")
	}
	var no *answer
	if d.folderPath, d.folderToken, no = c.folder(path, token); no != nil {
		return nil, no
	}
	return &draft{document: d, deadline: deadline, asFile: "api", charged: true}, checkLimits(d)
}

// checkLimits checks what section 4.3 limits (F12).
func checkLimits(d *document) *answer {
	switch {
	case characters(d.brandName) > 100:
		return refused("brand_name tem até 100 caracteres.")
	case len(d.observers) > 20:
		return refused("observers: até 20 e-mails.")
	case !slices.Contains(languages, d.lang):
		return refused("lang inválido.")
	case d.reminderDays < 0:
		return refused("reminder_every_n_days inválido.")
	}
	return checkName(d.name)
}

// open makes a draft a document, with all that follows from it.
func (a *API) open(n *draft) {
	d := n.document
	a.enter(d, n.content, n.asFile, n.charged)
	for _, s := range d.signers {
		a.signers[s.token] = s
	}
	a.setDeadline(d, n.deadline)
	a.planReminders(d, 1)
	a.emitDocument(d, "doc_created")
	a.inviteNext(d)
}

// enter gives a document, main or extra, its number and its place.
func (a *API) enter(d *document, content []byte, kind string, charged bool) {
	acc := d.account
	acc.lastOpenID++
	if charged {
		acc.credits++
	}
	d.openID, d.createdAt = acc.lastOpenID, a.tick()
	d.updatedAt = a.tick()
	d.original = a.newFile(kind, "pdf", typePDF, content, "")
	a.documents[d.token] = d
	acc.documents = append(acc.documents, d)
	a.log(d.root(), acc.Owner, "Documento criado", d.name)
}

// checkGroups gives signers their place in the order, and checks it (sheet 2.2.1, T19).
func (c *call) checkGroups(d *document, inputs []fields) *answer {
	if !d.ordered {
		return nil
	}
	given := []int{}
	for i, in := range inputs {
		d.signers[i].group = i
		if in.has("order_group") {
			d.signers[i].group = in.integer("order_group")
			given = append(given, d.signers[i].group)
		}
	}
	if wrong := c.in.typeError(); wrong != nil || len(given) == 0 {
		return wrong
	}
	if len(given) < len(inputs) {
		return refused("Há signatários neste documento que não foram incluídos em nenhum grupo.")
	}
	slices.Sort(given)
	given = slices.Compact(given)
	first := given[0]
	if c.options.Quirks.GroupsFromZero && first != 0 {
		return refused(fmt.Sprintf("A ordem dos grupos de signatários deve começar por 0. Primeiro grupo encontrado: %d", first))
	}
	first = max(0, min(first, 1))
	expected := make([]int, len(given))
	for i := range expected {
		expected[i] = first + i
	}
	if !slices.Equal(given, expected) {
		return refused("A numeração dos grupos deve ser contínua. Valores esperados: " + numbers(expected) + ", valores fornecidos: " + numbers(given))
	}
	return nil
}

// numbers writes a list as Python does.
func numbers(list []int) string {
	return strings.ReplaceAll(fmt.Sprint(list), " ", ", ")
}

// addExtra is POST /docs/{token}/upload-extra-doc/ (F18, T9).
func (c *call) addExtra() answer {
	parent, no := c.lookup(c.params[0])
	if no != nil {
		return *no
	}
	name := c.in.text("name")
	content, no := c.onlySource("url_pdf", "base64_pdf")
	if no != nil {
		return *no
	}
	return c.attach(parent, name, content)
}

// attach adds an extra document.
func (c *call) attach(parent *document, name string, content []byte) answer {
	limit := c.options.ExtraLimit
	switch {
	case limit == 0 && c.account.Production:
		limit = 14
	case limit == 0:
		limit = 9
	}
	if no := checkName(name); no != nil {
		return *no
	}
	switch {
	case parent.parent != nil || !parent.isPending():
		return message(400, "Não é possível adicionar documentos extra a este documento.")
	case len(parent.extras) >= limit:
		return message(400, fmt.Sprintf("Limite de documentos extra (%d) atingido.", limit))
	}
	extra := &document{account: parent.account, parent: parent, token: newUUID(), name: name, createdThrough: "api"}
	c.enter(extra, content, "api", !c.options.Quirks.BillPerEnvelope)
	if parent.signedFile != nil {
		extra.signedFile = c.newFile("pdf", "pdf", typePDF, content, parent.signedFile.tail)
	}
	parent.extras = append(parent.extras, extra)
	parent.updatedAt = c.tick()
	return ok(c.renderExtra(extra))
}
