package zapsigntest

import (
	"regexp"
	"strings"
	"time"
)

// signer is one of a document's.
type signer struct {
	document   *document
	token      string
	externalID string
	status     string

	name, email, phoneCountry, phoneNumber, cpf, qualification   string
	lockName, lockEmail, lockPhone                               bool
	hideEmail, hidePhone, blankEmail, blankPhone                 bool
	requireSelfie, requireDocument, requireCPF, validateCPF      bool
	authMode, selfieValidation, redirectLink                     string
	documentPhoto, documentVersePhoto, anchorText, rubricaAnchor string

	timesViewed                         int
	firstOpenedAt, lastViewAt, signedAt time.Time
	latitude, longitude, ip             *string

	group                   int
	customMessage           string
	sendEmail, sendWhatsapp bool
	sendSignedFile          *bool
	invited                 bool // the automatic message went out
	sentAt                  time.Time
	sendVia                 string
	resends                 resendAttempts

	attempts    int
	validations []validation
}

// isOpen tells whether the signer can still act.
func (s *signer) isOpen() bool { return s.status == statusNew || s.status == statusOpened }

func newSigner(d *document) *signer {
	return &signer{document: d, token: newUUID(), status: statusNew, phoneCountry: "55", authMode: "assinaturaTela", selfieValidation: "none"}
}

// What a SignerInput is for (table of section 2.2.1).
const (
	onCreate = iota
	onAdd
	onUpdate
)

var (
	authModes = []string{
		"assinaturaTela", "tokenEmail", "assinaturaTela-tokenEmail", "tokenSms", "assinaturaTela-tokenSms", "tokenWhatsapp",
		"assinaturaTela-tokenWhatsapp", "certificadoDigital", "CPF", "assinaturaTela-cpf",
	}
	selfieValidations = []string{
		"none", "liveness-document-match", "liveness-NXCD", "face-match-and-datavalid", "identity-verification-global", "identity-verification",
	}
	badWhatsapp = regexp.MustCompile(`[\n\t]| {5}`)
)

// canonical finds the provider's own spelling of a value, whatever its case and its separators.
func canonical(known []string, value string) (string, bool) {
	plain := strings.NewReplacer("-", "", "_", "")
	for _, k := range known {
		if strings.EqualFold(plain.Replace(k), plain.Replace(value)) {
			return k, true
		}
	}
	return value, false
}

// apply takes over the fields of a SignerInput that the request may set.
func (s *signer) apply(in fields, purpose int, oneClick bool) *answer {
	for name, target := range map[string]*string{
		"name": &s.name, "email": &s.email, "phone_country": &s.phoneCountry, "phone_number": &s.phoneNumber, "cpf": &s.cpf,
		"qualification": &s.qualification, "external_id": &s.externalID, "redirect_link": &s.redirectLink,
		"signature_placement": &s.anchorText, "rubrica_placement": &s.rubricaAnchor,
	} {
		in.setText(name, target)
	}
	for name, target := range map[string]*bool{
		"lock_name": &s.lockName, "lock_email": &s.lockEmail, "lock_phone": &s.lockPhone, "require_cpf": &s.requireCPF, "validate_cpf": &s.validateCPF,
		"require_selfie_photo": &s.requireSelfie, "require_document_photo": &s.requireDocument,
		"send_automatic_email": &s.sendEmail, "send_automatic_whatsapp": &s.sendWhatsapp,
	} {
		in.setFlag(name, target)
	}
	if in.has("send_automatic_whatsapp_signed_file") {
		wanted := in.flag("send_automatic_whatsapp_signed_file")
		s.sendSignedFile = &wanted
	}
	if purpose == onCreate {
		s.applyOnCreate(in)
	}
	authMode, selfie := in.text("auth_mode"), in.text("selfie_validation_type")
	if wrong := in.typeError(); wrong != nil {
		return wrong
	}
	known := true
	if authMode != "" {
		if s.authMode, known = canonical(authModes, authMode); !known {
			return refused("auth_mode inválido.")
		}
	}
	if selfie != "" {
		if s.selfieValidation, known = canonical(selfieValidations, selfie); !known {
			return refused("selfie_validation_type inválido.")
		}
	}
	if oneClick && (authMode != "" || selfie != "" || s.requireSelfie || s.requireDocument || s.email == "" && s.phoneNumber == "") {
		return refused("OneClick: cada signatário precisa de nome e e-mail ou telefone, sem autenticação adicional.")
	}
	return s.check()
}

// applyOnCreate takes over what only creates may set.
func (s *signer) applyOnCreate(in fields) {
	for name, target := range map[string]*string{
		"custom_message": &s.customMessage, "document_photo_url": &s.documentPhoto, "document_verse_photo_url": &s.documentVersePhoto,
	} {
		in.setText(name, target)
	}
	for name, target := range map[string]*bool{
		"blank_email": &s.blankEmail, "blank_phone": &s.blankPhone, "hide_email": &s.hideEmail, "hide_phone": &s.hidePhone,
	} {
		in.setFlag(name, target)
	}
}

// check checks what a signer must have (sheet 2.2.1).
func (s *signer) check() *answer {
	switch {
	case s.name == "":
		return refused("O nome do signatário é obrigatório.")
	case s.email == "" && (s.sendEmail || strings.Contains(s.authMode, "okenEmail")):
		return refused("O e-mail do signatário é obrigatório.")
	case s.phoneNumber == "" && s.sendWhatsapp:
		return refused("O telefone do signatário é obrigatório.")
	case s.validateCPF && s.cpf == "":
		return refused("O CPF do signatário é obrigatório.")
	case s.sendWhatsapp && badWhatsapp.MatchString(s.customMessage):
		return refused("custom_message inválida para WhatsApp.")
	}
	return nil
}

// signer finds the signer that the path names.
func (c *call) signer() (*signer, *answer) {
	s := c.API.signers[c.params[0]]
	if s == nil {
		no := notFound()
		return nil, &no
	}
	if _, no := c.lookup(s.document.token); no != nil {
		return nil, no
	}
	return s, nil
}

// addSigner is POST /docs/{token}/add-signer/ (F32).
func (c *call) addSigner() answer {
	d, no := c.mainDocument()
	if no != nil {
		return *no
	}
	s := newSigner(d)
	if no := s.apply(c.in, onAdd, d.oneClick); no != nil {
		return *no
	}
	if !d.isPending() {
		return message(400, "Não é possível adicionar signatários a este documento.")
	}
	for _, other := range d.signers {
		if other.status == signed && other.authMode == "certificadoDigital" {
			return message(400, "Não é possível adicionar signatários após uma assinatura com certificado digital.")
		}
		s.group = max(s.group, other.group+1)
	}
	d.signers, c.API.signers[s.token] = append(d.signers, s), s
	c.touch(d, "Signatário adicionado")
	c.emitSigner(s, "created_signer", request)
	c.inviteNext(d)
	return ok(c.renderSigner(s))
}

// getSigner is GET /signers/{token}/.
func (c *call) getSigner() answer {
	s, no := c.signer()
	if no != nil {
		return *no
	}
	out := c.renderSigner(s)
	out.signerDetailJSON = &signerDetailJSON{SignatureAnchorText: s.anchorText, RubricaAnchorText: s.rubricaAnchor}
	return ok(out)
}

// updateSigner is POST /signers/{token}/ (F33, F34, T11).
func (c *call) updateSigner() answer {
	s, no := c.signer()
	if no != nil {
		return *no
	}
	changed := *s
	if no := changed.apply(c.in, onUpdate, false); no != nil {
		return *no
	}
	if !s.isOpen() || !s.document.isPending() {
		return message(400, "Não é possível atualizar um signatário que já assinou o documento.")
	}
	*s = changed
	c.log(s.document, c.account.Owner, "Signatário atualizado", s.name)
	c.resend(s, c.in.flag("send_automatic_email"), c.in.flag("send_automatic_whatsapp"))
	return ok(c.renderSigner(s))
}

// removeSigner is DELETE /signer/{token}/remove/ (F35, T13).
func (c *call) removeSigner() answer {
	s, no := c.signer()
	if no != nil {
		return *no
	}
	d := s.document
	switch {
	case s.status == signed:
		return text(400, "Erro: Não é possível remover um signatário que já assinou o documento")
	case len(d.signers) == 1:
		return text(400, "Erro: Não é possível remover o único signatário do documento")
	case !d.isPending():
		return text(400, "Erro: Não é possível remover um signatário deste documento")
	}
	rest := make([]*signer, 0, len(d.signers))
	for _, other := range d.signers {
		if other != s {
			rest = append(rest, other)
		}
	}
	d.signers = rest
	delete(c.API.signers, s.token)
	c.touch(d, "Signatário removido")
	if d.signedFile != nil {
		c.seal(d, "a signer was removed")
		c.finish(d)
		c.emitDocument(d, "doc_signed")
	}
	c.inviteNext(d)
	return text(200, "Signatário removido com sucesso.")
}

// dropGroups is DELETE /signature-group/{doc_token}/, whose answer is not documented.
func (c *call) dropGroups() answer {
	d, no := c.mainDocument()
	if no != nil {
		return *no
	}
	d.ordered = false
	c.touch(d, "Grupos de signatários excluídos")
	c.inviteNext(d)
	return message(200, "OK")
}
