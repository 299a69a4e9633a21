DESCRIPTION = "Who a node is: its name, the names of the others, and K3s' configuration"
MAINTAINER = "n3x <n3x@localhost>"

inherit dpkg-raw
require recipes-support/k3s/k3s-release.inc

# The files are rendered from profiles/ (n3x cluster render).
SRC_URI = " \
    file://${NETWORKD_PROFILE}/${NETWORKD_NODE_NAME}/config.yaml;subdir=node \
    file://${NETWORKD_PROFILE}/hosts;subdir=node \
    file://postinst.tmpl \
"

require k3s-check-flags.inc

TEMPLATE_FILES = "postinst.tmpl"
TEMPLATE_VARS += "NETWORKD_NODE_NAME"

# More of K3s' flags, as lines of its configuration: "KEY: VALUE\nKEY: VALUE". They come after those of the profile.
K3S_CONFIG_EXTRA ??= ""

do_install() {
    found=${WORKDIR}/node/${NETWORKD_PROFILE}
    if [ -n "${K3S_ROLE}" ]; then
        install -D -m 0644 $found/${NETWORKD_NODE_NAME}/config.yaml ${D}/etc/rancher/k3s/config.yaml
        # The token itself comes into the finished image only.
        if [ -n "${K3S_TOKEN_GIVEN}" ]; then
            install -d ${D}/etc/rancher/k3s/config.yaml.d
            echo 'token-file: "/etc/rancher/k3s/token"' > ${D}/etc/rancher/k3s/config.yaml.d/50-token.yaml
        fi
        if [ -n "${@'1' if d.getVar('K3S_CONFIG_EXTRA') else ''}" ]; then
            install -d ${D}/etc/rancher/k3s/config.yaml.d
            sed 's/\\n/\n/g' > ${D}/etc/rancher/k3s/config.yaml.d/60-extra.yaml << 'END_OF_K3S_CONFIG'
${K3S_CONFIG_EXTRA}
END_OF_K3S_CONFIG
        fi
    fi
    # /etc/hosts and /etc/hostname belong to no package: postinst writes them.
    install -D -m 0644 $found/hosts ${D}/usr/share/k3s-node-config/hosts
}
