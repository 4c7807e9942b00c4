package zapsigntest

import (
	"slices"
	"strings"
	"time"
)

// template is a DOCX with variables (sheet 2.4).
type template struct {
	account              *account
	token, name          string
	text                 string
	file                 *file
	createdAt, updatedAt time.Time
	deleted              bool
	creator              string

	lang, redirectLink, folderPath, customIntro, youtube string
	observers                                            []string
	signer                                               *signer // settings of the first signer
	inputs                                               []templateInput
}

type templateInput struct {
	Variable  string `json:"variable"`
	InputType string `json:"input_type"`
	Label     string `json:"label"`
	HelpText  string `json:"help_text"`
	Options   string `json:"options"`
	Required  bool   `json:"required"`
	Order     int    `json:"order"`
}

// templateJSON is an item of the list, and with its pointers set what the other calls answer.
type templateJSON struct {
	Token        string `json:"token"`
	TemplateType string `json:"template_type"`
	Name         string `json:"name"`
	Active       bool   `json:"active"`
	TemplateFile link   `json:"template_file"`
	CreatedAt    stamp  `json:"created_at"`
	LastUpdateAt stamp  `json:"last_update_at"`
	RedirectLink string `json:"redirect_link"`
	FolderPath   string `json:"folder_path"`
	Lang         string `json:"lang"`
	*templateDetailJSON
	ExtraTemplates []string `json:"extra_templates,omitzero"`
	*templateFormJSON
}

type templateDetailJSON struct {
	Signers []templateSignerJSON `json:"signers"`
	Inputs  []templateInput      `json:"inputs"`
}

type templateFormJSON struct {
	NotifyExtraEmails string `json:"notify_extra_emails"`
	CustomIntro       string `json:"custom_intro"`
	YoutubeVideoCode  string `json:"youtube_video_code"`
}

type templateSignerJSON struct {
	Name                 string `json:"name"`
	AuthMode             string `json:"auth_mode"`
	Email                string `json:"email"`
	PhoneCountry         string `json:"phone_country"`
	PhoneNumber          string `json:"phone_number"`
	LockName             bool   `json:"lock_name"`
	LockPhone            bool   `json:"lock_phone"`
	LockEmail            bool   `json:"lock_email"`
	HidePhone            bool   `json:"hide_phone"`
	BlankPhone           bool   `json:"blank_phone"`
	HideEmail            bool   `json:"hide_email"`
	BlankEmail           bool   `json:"blank_email"`
	RequireSelfiePhoto   bool   `json:"require_selfie_photo"`
	RequireDocumentPhoto bool   `json:"require_document_photo"`
	SelfieValidationType string `json:"selfie_validation_type"`
	Qualification        string `json:"qualification"`
}

func (c *call) renderTemplate(t *template) templateJSON {
	return templateJSON{
		Token: t.token, TemplateType: "docx", Name: t.name, Active: true, TemplateFile: c.link(t.file), CreatedAt: stamp(t.createdAt),
		LastUpdateAt: stamp(t.updatedAt), RedirectLink: t.redirectLink, FolderPath: t.folderPath, Lang: t.lang,
	}
}

func (c *call) renderTemplateDetail(t *template) templateJSON {
	out, s := c.renderTemplate(t), t.signer
	out.templateDetailJSON = &templateDetailJSON{
		Signers: []templateSignerJSON{{
			s.name, s.authMode, s.email, s.phoneCountry, s.phoneNumber, s.lockName, s.lockPhone, s.lockEmail, s.hidePhone, s.blankPhone,
			s.hideEmail, s.blankEmail, s.requireSelfie, s.requireDocument, s.selfieValidation, s.qualification,
		}},
		Inputs: append([]templateInput{}, t.inputs...),
	}
	return out
}

func (c *call) renderTemplateForm(t *template) templateJSON {
	out := c.renderTemplateDetail(t)
	out.ExtraTemplates = []string{}
	out.templateFormJSON = &templateFormJSON{strings.Join(t.observers, ","), t.customIntro, t.youtube}
	return out
}

// templateOf finds a template of the account that is not deleted.
func (c *call) templateOf(token string) (*template, *answer) {
	t := c.API.templates[token]
	if t == nil || t.deleted || t.account != c.account {
		no := notFound()
		return nil, &no
	}
	return t, nil
}

// listTemplates is GET /templates/.
func (c *call) listTemplates() answer {
	live := slices.DeleteFunc(slices.Clone(c.account.templates), func(t *template) bool { return t.deleted })
	return c.paginate(len(live), templatesPerPage, func(i int) any {
		out := c.renderTemplate(live[i])
		out.ExtraTemplates = []string{}
		return out
	})
}

// getTemplate is GET /templates/{token}/.
func (c *call) getTemplate() answer {
	t, no := c.templateOf(c.params[0])
	if no != nil {
		return *no
	}
	return ok(c.renderTemplateDetail(t))
}

// createTemplate is POST /templates/create/.
func (c *call) createTemplate() answer {
	sources := []string{}
	for _, name := range []string{"docx_url", "base64_docx"} {
		if c.in.text(name) != "" {
			sources = append(sources, name)
		}
	}
	t := &template{account: c.account, token: newUUID(), creator: c.account.Owner, lang: "pt-br", folderPath: "/", signer: newSigner(nil)}
	t.signer.name = "Signatario 1"
	if no := c.applyTemplate(t); no != nil {
		return *no
	}
	if len(sources) != 1 {
		return *refused("Envie um arquivo: docx_url ou base64_docx.")
	}
	content, no := c.source(sources[0])
	if no != nil {
		return *no
	}
	t.text = docxText(content)
	for i, name := range variables(t.text) {
		t.inputs = append(t.inputs, templateInput{Variable: name, InputType: "input", Label: strings.Trim(name, "{}"), Required: true, Order: i + 1})
	}
	const docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
	t.file = c.newFile("api", "docx", docx, content, "")
	t.createdAt = c.tick()
	t.updatedAt = c.tick()
	c.API.templates[t.token] = t
	c.account.templates = append(c.account.templates, t)
	return ok(c.renderTemplateForm(t))
}

// applyTemplate takes over what creating and updating set, or nothing if something is wrong.
func (c *call) applyTemplate(target *template) *answer {
	t, s := *target, *target.signer
	in, first := c.in, c.in.object("first_signer")
	in.setText("name", &t.name)
	in.setText("lang", &t.lang)
	in.setText("redirect_link", &t.redirectLink)
	if in.has("observers") {
		t.observers = in.texts("observers")
	}
	first.setFlag("blank_email", &s.blankEmail)
	first.setFlag("blank_phone", &s.blankPhone)
	first.setFlag("require_selfie_photo", &s.requireSelfie)
	first.setFlag("require_document_photo", &s.requireDocument)
	first.setText("qualification", &s.qualification)
	authMode, selfie := first.text("auth_mode"), first.text("selfie_validation_type")
	path, token := in.text("folder_path"), in.text("folder_token")
	if wrong := in.typeError(); wrong != nil {
		return wrong
	}
	var knownMode, knownSelfie bool
	s.authMode, knownMode = canonical(authModes, orDefault(authMode, s.authMode))
	s.selfieValidation, knownSelfie = canonical(selfieValidations, orDefault(selfie, s.selfieValidation))
	if !knownMode || !knownSelfie || len(t.observers) > 20 || !slices.Contains(languages, t.lang) {
		return refused("Modelo inválido.")
	}
	if path != "" || token != "" {
		var no *answer
		if t.folderPath, _, no = c.folder(path, token); no != nil {
			return no
		}
	}
	if no := checkName(t.name); no != nil {
		return no
	}
	*target = t
	target.signer = &s
	return nil
}

// updateTemplate is PUT /templates/{token}/.
func (c *call) updateTemplate() answer {
	t, no := c.templateOf(c.params[0])
	if no != nil {
		return *no
	}
	if no := c.applyTemplate(t); no != nil {
		return *no
	}
	t.updatedAt = c.tick()
	return ok(c.renderTemplateForm(t))
}

var inputTypes = []string{
	"input", "email", "phone_br", "signer_fullname", "radio", "dopdown-list", "checklist", "date", "ext-date", "date-signature", "cpf", "cnpj", "dinheiro",
}

// updateForm is POST /templates/update-form/.
func (c *call) updateForm() answer {
	t, no := c.templateOf(c.in.text("template_id"))
	if no != nil {
		return *no
	}
	inputs := slices.Clone(t.inputs)
	for _, in := range c.in.objects("inputs") {
		i := slices.IndexFunc(inputs, func(known templateInput) bool { return known.Variable == in.text("variable") })
		if i < 0 {
			return *refused("Variável não encontrada no modelo.")
		}
		in.setText("input_type", &inputs[i].InputType)
		in.setText("label", &inputs[i].Label)
		in.setText("help_text", &inputs[i].HelpText)
		in.setText("options", &inputs[i].Options)
		in.setFlag("required", &inputs[i].Required)
		if in.has("order") {
			inputs[i].Order = in.integer("order")
		}
		if !slices.Contains(inputTypes, inputs[i].InputType) {
			return *refused("input_type inválido.")
		}
	}
	intro, youtube := c.in.text("custom_intro"), c.in.text("youtube_video_code")
	if wrong := c.in.typeError(); wrong != nil {
		return *wrong
	}
	t.inputs, t.customIntro, t.youtube, t.updatedAt = inputs, orDefault(intro, t.customIntro), orDefault(youtube, t.youtube), c.tick()
	return ok(c.renderTemplateForm(t))
}

// deleteTemplate is DELETE /templates/{token}/.
func (c *call) deleteTemplate() answer {
	t, no := c.templateOf(c.params[0])
	if no != nil {
		return *no
	}
	t.deleted = true
	return message(200, "Modelo excluído com sucesso.")
}

// createFromTemplate is POST /models/create-doc/ (T34).
func (c *call) createFromTemplate() answer {
	d, no := c.draftFromTemplate()
	if no != nil {
		return *no
	}
	c.open(d)
	return ok(c.render(d.document))
}

// createFromTemplateLater is POST /models/create-doc/async/.
func (c *call) createFromTemplateLater() answer {
	d, no := c.draftFromTemplate()
	return c.later(d, no)
}

func (c *call) draftFromTemplate() (*draft, *answer) {
	id := c.in.text("template_id")
	if id == "" {
		return nil, refused("template_id é obrigatório.")
	}
	t, no := c.templateOf(id)
	if no != nil {
		return nil, no
	}
	d, no := c.draft(orDefault(c.in.text("name"), t.name), t.creator)
	if no != nil {
		return nil, no
	}
	if !c.in.has("folder_path") && !c.in.has("folder_token") {
		d.folderPath = t.folderPath
	}
	if !c.in.has("observers") {
		d.observers = t.observers
	}
	if !c.in.has("lang") {
		d.lang = t.lang
	}
	d.template = t
	d.ordered = d.ordered || c.in.flag("signer_has_incomplete_fields")
	s := *t.signer
	s.document, s.token, s.redirectLink = d.document, newUUID(), t.redirectLink
	if no := s.apply(c.templateSigner(), onCreate, false); no != nil {
		return nil, no
	}
	d.signers = []*signer{&s}
	filled, no := c.fill(t)
	if no != nil {
		return nil, no
	}
	d.content, d.answers = filled.content, filled.answers
	return d, c.in.typeError()
}

// templateSigner makes a SignerInput of the body's fields for the single signer.
func (c *call) templateSigner() fields {
	values := map[string]any{"name": ""}
	for theirs, ours := range map[string]string{
		"signer_name": "name", "signer_email": "email", "signer_phone_country": "phone_country", "signer_phone_number": "phone_number",
		"send_automatic_email": "", "send_automatic_whatsapp": "", "send_automatic_whatsapp_signed_file": "", "custom_message": "",
		"signature_placement": "", "rubrica_placement": "",
	} {
		if value, given := c.in.values[theirs]; given {
			values[orDefault(ours, theirs)] = value
		}
	}
	return fields{values, c.in.wrong}
}

type filledTemplate struct {
	content []byte
	answers []variable
}

// fill puts the data of a body into a template.
func (c *call) fill(t *template) (filledTemplate, *answer) {
	filled, text := filledTemplate{}, t.text
	for _, entry := range c.in.objects("data") {
		from, to := entry.text("de"), entry.text("para")
		if from == "" {
			continue
		}
		text = replaceBounded(text, from, to)
		name := strings.TrimSuffix(strings.TrimPrefix(from, "{{"), "}}")
		filled.answers = append(filled.answers, variable{name, to})
	}
	if wrong := c.in.typeError(); wrong != nil {
		return filled, wrong
	}
	filled.content = textPDF(text)
	return filled, nil
}

// replaceBounded replaces unless the text would grow beyond reason.
func replaceBounded(text, from, to string) string {
	if n := strings.Count(text, from); n*len(to) > maxDocumentXML {
		return text
	}
	if text = strings.ReplaceAll(text, from, to); len(text) > maxDocumentXML {
		text = text[:maxDocumentXML]
	}
	return text
}

// addExtraFromTemplate is POST /models/{doc_token}/upload-extra-doc/ (sheet 2.1.10).
func (c *call) addExtraFromTemplate() answer {
	parent, no := c.lookup(c.params[0])
	if no != nil {
		return *no
	}
	id := c.in.text("template_id")
	if id == "" {
		return *refused("template_id é obrigatório.")
	}
	t := c.API.templates[id]
	switch {
	case t == nil:
		return notFound()
	case t.deleted || t.account != c.account:
		return detail(403, "Você não tem permissão para executar essa ação.")
	}
	filled, no := c.fill(t)
	if no != nil {
		return *no
	}
	return c.attach(parent, t.name, filled.content)
}
